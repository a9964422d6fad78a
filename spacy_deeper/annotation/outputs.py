"""Output files: a part of each chunk's docs, and all parts joined to one file."""

import io
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from spacy.tokens import Doc, DocBin, Span

from ..compat import write_csv_row
from ..errors import Errors
from ..relations import get_relations
from .inputs import Text, import_parquet

Annotated = tuple[Text, Doc]

#: The columns of triples. Offsets are characters of the document's text, the end exclusive.
TRIPLE = (
    *("id", "head", "relation", "tail", "score"),
    *("head_start", "head_end", "head_type", "tail_start", "tail_end", "tail_type"),
)
TRIPLES_HEADER = ("\t".join(TRIPLE) + "\n").encode()
#: Bytes of parts that are joined to one row group of a Parquet file.
ROW_GROUP = 2**25


class Output(NamedTuple):
    """A format of output files.

    suffix (str): Of its files.
    encode (Callable): Makes the content of a part, which is a whole file, of some docs.
    join (Callable): Writes the parts' contents to one file, in order.
    """

    suffix: str
    encode: Callable[[list[Annotated]], bytes]
    join: Callable[[Iterable[Path], Path], None]


def find_output(path: Path, to: str | None) -> str:
    """Return the name of the format to write: by the option, or else the suffix.

    RAISES (ValueError): If it can't be told, or the two do not fit together.
    """
    if to is not None and to not in OUTPUTS:
        raise ValueError(Errors.D101.format(name=to, known=", ".join(OUTPUTS)))
    by_suffix = (name for name, output in OUTPUTS.items() if output.suffix == path.suffix)
    name = to or next(by_suffix, None)
    if name is None or (path.suffix and not path.is_dir() and path.suffix != OUTPUTS[name].suffix):
        known = ", ".join(output.suffix for output in OUTPUTS.values())
        raise ValueError(Errors.D407.format(path=path, known=known, names=", ".join(OUTPUTS)))
    if name == "parquet":
        import_parquet()
    return name


def _record(text: Text, doc: Doc) -> dict[str, Any]:
    """Make the plain record of a doc, that JSON lines and Parquet hold."""
    return {
        "id": text.id,
        "text": text.text,
        "ents": [_entity(ent) for ent in doc.ents],
        "relations": [
            {"head": _entity(head), "tail": _entity(tail), "label": label, "score": score}
            for head, tail, label, score in get_relations(doc)
        ],
        "meta": text.meta,
    }


def _entity(span: Span) -> dict[str, Any]:
    return {
        "start": span.start_char,
        "end": span.end_char,
        "label": span.label_,
        "text": span.text,
    }


def _json_lines(docs: list[Annotated]) -> bytes:
    lines = (json.dumps(_record(text, doc), ensure_ascii=False) + "\n" for text, doc in docs)
    return "".join(lines).encode()


def _concatenate(parts: Iterable[Path], path: Path, header: bytes = b"") -> None:
    """Join files that all begin with a header, which is kept once."""
    with path.open("wb") as file:
        file.write(header)
        for part in parts:
            with part.open("rb") as content:
                content.seek(len(header))
                shutil.copyfileobj(content, file)


def _triples(docs: list[Annotated]) -> bytes:
    file = io.StringIO()
    write_csv_row(file, TRIPLE, "\t")
    for text, doc in docs:
        for head, tail, label, score in get_relations(doc):
            offsets = [
                value
                for span in (head, tail)
                for value in (span.start_char, span.end_char, span.label_)
            ]
            write_csv_row(file, [text.id, head.text, label, tail.text, score, *offsets], "\t")
    return file.getvalue().encode()


def _join_triples(parts: Iterable[Path], path: Path) -> None:
    _concatenate(parts, path, TRIPLES_HEADER)


def _doc_bin(docs: list[Annotated]) -> bytes:
    doc_bin = DocBin(store_user_data=True)
    for text, doc in docs:
        doc.user_data["orig_id"] = text.id  # where `relations convert` keeps it, too
        if text.meta:
            doc.user_data["meta"] = text.meta
        doc_bin.add(doc)
    return doc_bin.to_bytes()


def _join_doc_bins(parts: Iterable[Path], path: Path) -> None:
    """Join `.spacy` files, which spaCy holds as a whole, when it reads and when it writes them."""
    doc_bin = DocBin(store_user_data=True)
    for part in parts:
        doc_bin.merge(DocBin(store_user_data=True).from_bytes(part.read_bytes()))
    path.write_bytes(doc_bin.to_bytes())


def _schema() -> Any:
    import pyarrow as pa

    offset, text = pa.int32(), pa.string()
    entity = pa.struct([("start", offset), ("end", offset), ("label", text), ("text", text)])
    relation = [("head", entity), ("tail", entity), ("label", text), ("score", pa.float64())]
    return pa.schema(
        [
            ("id", text),
            ("text", text),
            ("ents", pa.list_(entity)),
            ("relations", pa.list_(pa.struct(relation))),
            ("meta", text),
        ]
    )


def _parquet(docs: list[Annotated]) -> bytes:
    import pyarrow as pa

    # A column has one type, and what meta has may differ from record to record: it is JSON.
    rows = []
    for text, doc in docs:
        meta = json.dumps(text.meta, ensure_ascii=False)
        rows.append({**_record(text, doc), "id": str(text.id), "meta": meta})
    file = io.BytesIO()
    import_parquet().write_table(pa.Table.from_pylist(rows, _schema()), file, compression="zstd")
    return file.getvalue()


def _join_parquet(parts: Iterable[Path], path: Path) -> None:
    import pyarrow as pa

    parquet = import_parquet()
    with parquet.ParquetWriter(path, _schema(), compression="zstd") as writer:
        waiting: list[Any] = []
        for part in parts:
            # Not read_table, which can't open a file whose path looks like a partition.
            waiting.append(parquet.ParquetFile(part).read())
            if sum(table.nbytes for table in waiting) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


OUTPUTS: dict[str, Output] = {
    "jsonl": Output(".jsonl", _json_lines, _concatenate),
    "parquet": Output(".parquet", _parquet, _join_parquet),
    "spacy": Output(".spacy", _doc_bin, _join_doc_bins),
    "triples": Output(".tsv", _triples, _join_triples),
}
