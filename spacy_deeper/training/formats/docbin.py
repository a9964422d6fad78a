"""spaCy's `.spacy` files, as input and as output."""

from collections.abc import Iterator
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin

from ...errors import Errors
from ...relations import get_relations
from ..records import all_entities
from ..report import Report
from .util import Source


def read(source: Source, nlp: Language, report: Report) -> Iterator[Doc]:
    """Read the docs of a `.spacy` file."""
    data = source.bytes()
    try:
        doc_bin = DocBin().from_bytes(data)
        # What a broken file raises depends on what is broken in it: zlib, msgpack, numpy, spaCy.
        docs = doc_bin.get_docs(nlp.vocab)
        while (doc := next(docs, None)) is not None:
            report.read.update(_count(doc))
            yield doc
    except Exception as err:
        problem = " ".join(str(err).split()) or type(err).__name__
        raise ValueError(Errors.D109.format(path=source, problem=problem)) from err


def write(docs: Iterator[Doc], path: Path, report: Report) -> None:
    """Write docs to a `.spacy` file."""
    doc_bin = DocBin(store_user_data=True)
    for doc in docs:
        doc_bin.add(doc)
        report.written.update(_count(doc))
    path.write_bytes(doc_bin.to_bytes())


def _count(doc: Doc) -> dict[str, int]:
    entities, relations = all_entities(doc), get_relations(doc)
    return {"documents": 1, "entities": len(entities), "relations": len(relations)}
