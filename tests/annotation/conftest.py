import re
from pathlib import Path

import pytest
import spacy
from pipeline.joint import fit, start

from . import saboteur

SAMPLE = Path(__file__).parents[2] / "assets" / "sample" / "train.txt"


@pytest.fixture(scope="session")
def code() -> Path:
    return Path(saboteur.__file__)


@pytest.fixture(scope="session")
def rules(tmp_path_factory) -> str:
    """A pipeline without weights: Ann, Bo and Oslo are entities, and neighbours related."""
    path = tmp_path_factory.mktemp("rules") / "model"
    nlp = spacy.blank("en")
    patterns = [("Per", "Ann"), ("Per", "Bo"), ("Loc", "Oslo")]
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": text} for label, text in patterns])
    nlp.add_pipe("saboteur")
    nlp.to_disk(path)
    return str(path)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The sentences of the sample corpus, without their markup."""
    blocks = SAMPLE.read_text("utf8").split("\n\n")
    return [re.sub(r"\[(.+?)\]\(\w+\)", r"\1", block.strip().split("\n")[0]) for block in blocks]


@pytest.fixture(scope="session")
def joint(tmp_path_factory) -> str:
    """A joint model that knows some sentences by heart, and relates all entities."""
    from spacy.training import Corpus

    from spacy_deeper.training.convert import convert

    folder = tmp_path_factory.mktemp("joint")
    docs = convert(SAMPLE, folder / "train.spacy").path
    gold = [example.reference for example in Corpus(docs)(spacy.blank("en"))]
    nlp, examples = start(gold[:20], threshold=0.0)
    fit(nlp, examples, 20)
    nlp.to_disk(folder / "model")
    return str(folder / "model")
