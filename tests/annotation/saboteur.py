"""A pipeline's component that relates neighbours, and fails or dies where a text says so."""

import os
import signal
import time
from pathlib import Path

from spacy.language import Language


@Language.component("saboteur")
def saboteur(doc):
    pairs = zip(doc.ents, doc.ents[1:], strict=False)
    doc._.relations = [(head, tail, "Next", 0.5) for head, tail in pairs]
    if "FAIL" in doc.text:
        raise RuntimeError("told\nto fail")
    if "DIE" in doc.text:
        die(doc.text.partition("DIE")[2].strip())
    if "SLOW" in doc.text:
        time.sleep(0.1)
    return doc


def die(path: str) -> None:
    """Die as of too little memory; with a path, once: it is a file that remembers it."""
    if path and Path(path).exists():
        return
    if path:
        Path(path).touch()
    os.kill(os.getpid(), signal.SIGKILL)
