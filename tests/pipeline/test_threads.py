"""One pipeline in several threads, as in a web server."""

from concurrent.futures import ThreadPoolExecutor

import spacy
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from .joint import relations_of


def test_threads_find_what_one_finds(trained_path, docs):
    nlp = spacy.load(trained_path)
    for _, pipe in nlp.pipeline:
        set_dropout_rate(pipe.model, 0.5)  # as a training leaves it
    texts = [doc.text for doc in docs]

    def found(text: str) -> tuple[list, list]:
        doc: Doc = nlp(text)
        return [(ent.start, ent.end, ent.label_) for ent in doc.ents], relations_of(doc)

    expected = [found(text) for text in texts]
    nlp.from_bytes(nlp.to_bytes())  # the first to predict have modules as a training begins with
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(found, texts * 20)) == expected * 20
