import pytest
import spacy

from spacy_deeper.relations import get_relations
from spacy_deeper.training.formats import FORMATS

read = FORMATS["markup"].read

GOOD = r"""# A comment, then blank lines.


[Ann Berg](Per) left [Oslo](Loc) for [Bergen](Loc) \[1], not for [Oslo](Loc).
  Ann Berg --Live_In--> Bergen
# A comment inside of a record.
  Ann Berg --Left--> Oslo#1
  Ann Berg --Avoid--> Oslo#2
  Ann Berg --Work_In--> Bergen#1
<spaces>
Nobody \[here\] is one? \](no
"""


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def write(tmp_path, text, newline="\n"):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8", newline=newline)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_read(tmp_path, nlp, newline):
    text = GOOD.replace("<spaces>", "   ")
    first, second = read(write(tmp_path, text, newline), nlp)
    assert first.text == "Ann Berg left Oslo for Bergen [1], not for Oslo."
    assert not first.has_unknown_spaces
    assert [(ent.text, ent.label_) for ent in first.ents] == [
        ("Ann Berg", "Per"),
        ("Oslo", "Loc"),
        ("Bergen", "Loc"),
        ("Oslo", "Loc"),
    ]
    ents = first.ents
    assert [(r.head, r.label, r.tail, r.score) for r in get_relations(first)] == [
        (ents[0], "Live_In", ents[2], 1.0),
        (ents[0], "Left", ents[1], 1.0),
        (ents[0], "Avoid", ents[3], 1.0),
        (ents[0], "Work_In", ents[2], 1.0),
    ]
    assert second.text == "Nobody [here] is one? ](no"
    assert second.has_annotation("ENT_IOB")
    assert not second.ents


def test_read_unusual(tmp_path, nlp):
    text = r"""[C #2](Drug) and [C](Drug) cause [a \[b\] c](Effect type)
  C #2 --CAUSE-IF--> a [b] c
  C --CAUSE-IF--> a [b] c"""
    (doc,) = read(write(tmp_path, text), nlp)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [
        ("C #2", "Drug"),
        ("C", "Drug"),
        ("a [b] c", "Effect type"),
    ]
    assert [(r.head.text, r.label) for r in get_relations(doc)] == [
        ("C #2", "CAUSE-IF"),
        ("C", "CAUSE-IF"),
    ]


def test_language(tmp_path):
    (doc,) = read(write(tmp_path, "[猫](A)[犬](B)"), spacy.blank("zh"))
    assert [ent.text for ent in doc.ents] == ["猫", "犬"]
