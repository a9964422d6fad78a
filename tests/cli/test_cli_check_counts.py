import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.relations import OVERLAPPING
from spacy_deeper.training.convert import convert

MARKUP = """[Ann](Per) left [Oslo](Loc).
  Ann --Left--> Oslo

Nothing here.
"""


@pytest.fixture
def data(tmp_path):
    (tmp_path / "a.txt").write_text(MARKUP)
    return convert(tmp_path / "a.txt", tmp_path).path


def check(data, **expected):
    options = [text for name, count in expected.items() for text in (f"--{name}", str(count))]
    return CliRunner().invoke(app, ["check-counts", str(data), *options])


def test_right_counts(data):
    result = check(data, docs=2, entities=2, relations=1)
    assert result.exit_code == 0
    assert "2 documents, 2 entities, 1 relations" in result.stdout


def test_what_is_not_given_is_not_checked(data):
    assert check(data).exit_code == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"docs": 3}, "2 documents instead of 3"),
        ({"docs": 2, "entities": 0}, "2 entities instead of 0"),
        ({"entities": 1, "relations": 2}, "2 entities instead of 1, 1 relations instead of 2"),
    ],
)
def test_wrong_counts(data, wrong, said):
    result = check(data, **wrong)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "[D165]" in result.stderr
    assert said in result.stderr
    assert str(data) in result.stderr


def test_missing_data(tmp_path):
    result = check(tmp_path / "no.spacy", docs=1)
    assert result.exit_code == 1
    assert "[D161]" in result.stderr


def test_entities_that_overlap_are_counted(tmp_path):
    """As `convert --overlap spans` counts them."""
    doc = Doc(Vocab(), words=["Ann", "Street"], ents=["B-Loc", "I-Loc"])
    doc.spans[OVERLAPPING] = [Span(doc, 0, 1, "Per")]
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    assert check(tmp_path / "a.spacy", entities=2).exit_code == 0
