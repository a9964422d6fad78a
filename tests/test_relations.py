import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import spacy
import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

import spacy_deeper
from spacy_deeper import Relation, as_doc, from_docs, get_relations, has_relations, set_relations
from spacy_deeper.relations import USER_DATA_KEY, has_own_extension, install_extension

WORDS = ["Edgar", "Allan", "Poe", "was", "born", "in", "Boston", "."]
SPACES = [True, True, True, True, True, True, False, True]
ENTS = ["B-Peop", "I-Peop", "I-Peop", "O", "O", "O", "B-Loc", "O"]

#: How a relation looks without its doc.
Seen = tuple[str, int, int, str, str, int, int, str, str, float]


def seen(doc: Doc) -> list[Seen]:
    return [
        (
            *(head.text, head.start, head.end, head.label_),
            *(tail.text, tail.start, tail.end, tail.label_),
            label,
            score,
        )
        for head, tail, label, score in doc._.relations
    ]


def make_poe(vocab: Vocab) -> Doc:
    doc = Doc(vocab, words=WORDS, spaces=SPACES, ents=ENTS)
    poe, boston = doc.ents
    doc._.relations = [(poe, boston, "Live_In", 0.97), (boston, poe, "Birthplace_Of", 0.5)]
    return doc


POE: list[Seen] = [
    ("Edgar Allan Poe", 0, 3, "Peop", "Boston", 6, 7, "Loc", "Live_In", 0.97),
    ("Boston", 6, 7, "Loc", "Edgar Allan Poe", 0, 3, "Peop", "Birthplace_Of", 0.5),
]


@Language.component("relate_first_and_last")
def relate_first_and_last(doc: Doc) -> Doc:
    doc._.relations = [(Span(doc, 0, 1, "A"), Span(doc, len(doc) - 1, len(doc), "B"), "R", 0.25)]
    return doc


@pytest.fixture
def vocab() -> Vocab:
    return Vocab()


@pytest.fixture
def doc(vocab: Vocab) -> Doc:
    return make_poe(vocab)


@pytest.fixture
def foreign_extension() -> Iterator[None]:
    own = dict(zip(("getter", "setter"), Doc.remove_extension("relations")[2:], strict=True))
    Doc.set_extension("relations", default=[])
    yield
    Doc.remove_extension("relations")
    Doc.set_extension("relations", **own)


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# Reading and writing


def test_none_is_no_list():
    doc = Doc(Vocab(), ["a"])
    with pytest.raises(ValueError, match=r"^\[D009\] .*None"):
        doc._.relations = None


def test_repr(doc: Doc) -> None:
    expected = "Relation(head=Edgar Allan Poe, tail=Boston, label='Live_In', score=0.97)"
    assert repr(doc._.relations[0]) == expected
    assert repr(doc._.relations[0]._replace(score=1 / 3)).endswith(", score=0.33)")


def test_default_score(doc: Doc) -> None:
    assert Relation(*doc.ents, "Live_In").score == 1.0


def test_reads_what_was_set(doc: Doc) -> None:
    assert seen(doc) == POE
    assert all(isinstance(relation, Relation) for relation in doc._.relations)
    assert all(span.doc is doc for relation in doc._.relations for span in relation[:2])


def test_assigning_what_was_read_changes_nothing(doc: Doc) -> None:
    before = json.dumps(doc.user_data)
    doc._.relations = doc._.relations
    assert json.dumps(doc.user_data) == before


def test_each_read_makes_a_new_list(doc: Doc) -> None:
    doc._.relations.clear()
    assert seen(doc) == POE


def test_annotated_without_relations_is_not_unannotated(vocab: Vocab) -> None:
    doc = Doc(vocab, words=WORDS)
    assert doc._.relations == []
    assert not has_relations(doc)
    doc._.relations = []
    assert doc._.relations == []
    assert has_relations(doc)


def test_functions_need_no_extension(vocab: Vocab, foreign_extension: None) -> None:
    doc = Doc(vocab, words=WORDS)
    set_relations(doc, ((head, doc[6:7], "R") for head in (doc[0:1], doc[1:2])))
    assert [relation.head.text for relation in get_relations(doc)] == ["Edgar", "Allan"]
    assert doc._.relations == []  # the other package's


def test_several_labels_and_both_directions_of_one_pair(doc: Doc) -> None:
    poe, boston = doc.ents
    doc._.relations = [(poe, boston, "A"), (poe, boston, "B"), (boston, poe, "A")]
    assert len(doc._.relations) == 3


def test_payload_is_plain(doc: Doc) -> None:
    poe, boston = doc.ents
    doc._.relations = [(poe, boston, np.str_("R"), np.float32(0.5))]
    assert doc.user_data[USER_DATA_KEY] == [
        36,
        [[0, 15, "Peop", 28, 34, "Loc", "R", 0.5]],
    ]
    kinds = {type(value) for value in doc.user_data[USER_DATA_KEY][1][0]}
    assert kinds == {int, str, float}


@pytest.mark.parametrize(
    "score",
    [
        *(0, 1, 0.5, Fraction(1, 4), Decimal("0.25")),
        *(np.float32(0.5), np.float64(1.0), np.int64(1), np.array(0.5)),
        *(torch.tensor(0.5), torch.tensor(0.5, dtype=torch.float16)),
    ],
)
def test_scores_become_floats(doc: Doc, score: object) -> None:
    doc._.relations = [(*doc.ents, "R", score)]
    assert type(doc._.relations[0].score) is float
    assert doc._.relations[0].score == float(score)  # type: ignore[arg-type]


# What the setter rejects


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (lambda doc: "Live_In", "D003"),
        (lambda doc: None, "D003"),
        (lambda doc: doc.ents[0], "D003"),
        (lambda doc: doc.ents, "D003"),
        (lambda doc: [*doc.ents, "R"], "D003"),
        (lambda doc: (*doc.ents, "R", 0.5, "more"), "D003"),
        (lambda doc: ("Poe", doc.ents[1], "R"), "D004"),
        (lambda doc: (doc.ents[0], doc[6], "R"), "D004"),
        (lambda doc: (doc.ents[0], None, "R"), "D004"),
        (lambda doc: (doc[3:3], doc.ents[1], "R"), "D004"),
        (lambda doc: (doc.ents[0], doc.copy().ents[1], "R"), "D004"),
        (lambda doc: (doc.ents[0], doc.ents[0], "R"), "D005"),
        (lambda doc: (doc[0:3], doc.ents[0], "R"), "D005"),
        (lambda doc: (*doc.ents, ""), "D006"),
        (lambda doc: (*doc.ents, 7), "D006"),
        (lambda doc: (*doc.ents, None), "D006"),
        (lambda doc: (*doc.ents, "R", 1.01), "D007"),
        (lambda doc: (*doc.ents, "R", -0.01), "D007"),
        (lambda doc: (*doc.ents, "R", float("nan")), "D007"),
        (lambda doc: (*doc.ents, "R", float("inf")), "D007"),
        (lambda doc: (*doc.ents, "R", 10**400), "D007"),
        (lambda doc: (*doc.ents, "R", "0.5"), "D007"),
        (lambda doc: (*doc.ents, "R", None), "D007"),
        (lambda doc: (*doc.ents, "R", 0.5j), "D007"),
        (lambda doc: (*doc.ents, "R", torch.tensor([0.5, 0.5])), "D007"),
        (lambda doc: (*doc.ents, "Live_In", 0.1), "D008"),
        (lambda doc: (doc[0:3], doc[6:7], "Live_In"), "D008"),
    ],
)
def test_setter_rejects(doc: Doc, bad, code: str) -> None:
    before = seen(doc)
    good = Relation(*doc.ents, "Live_In")
    with pytest.raises(ValueError, match=rf"^\[{code}\] Relation 1: "):
        doc._.relations = [good, bad(doc)]
    assert seen(doc) == before


# Serialization


@pytest.fixture(params=["spaces", "no_spaces_known", "empty_list"])
def any_doc(request: pytest.FixtureRequest, vocab: Vocab) -> Doc:
    if request.param == "spaces":
        return make_poe(vocab)
    doc = Doc(vocab, words=WORDS, ents=ENTS)
    doc._.relations = [Relation(*doc.ents, "R", 0.5)] if request.param != "empty_list" else []
    return doc


def test_bytes(any_doc: Doc) -> None:
    other = Doc(Vocab()).from_bytes(any_doc.to_bytes())
    assert seen(other) == seen(any_doc)
    assert has_relations(other)


def test_docbin(any_doc: Doc) -> None:
    unannotated = Doc(any_doc.vocab, words=["Nothing"])
    docbin = DocBin(docs=[any_doc, unannotated], store_user_data=True)
    other, nothing = DocBin().from_bytes(docbin.to_bytes()).get_docs(Vocab())
    assert seen(other) == seen(any_doc)
    assert has_relations(other)
    assert not has_relations(nothing)


def test_docbin_then_bytes(doc: Doc) -> None:
    docbin = DocBin(docs=[doc], store_user_data=True)
    (other,) = docbin.get_docs(Vocab())
    assert seen(Doc(Vocab()).from_bytes(other.to_bytes())) == POE
    assert seen(as_doc(other[0:8])) == POE


def test_copy(any_doc: Doc) -> None:
    other = any_doc.copy()
    assert seen(other) == seen(any_doc)
    assert has_relations(other)
    other._.relations = [(other[3:4], other[4:5], "R")]
    assert len(other._.relations) == 1
    assert seen(any_doc) != seen(other)


def test_pickle(any_doc: Doc) -> None:
    other = pickle.loads(pickle.dumps(any_doc))
    assert seen(other) == seen(any_doc)
    assert has_relations(other)


def test_json(doc: Doc) -> None:
    other = Doc(doc.vocab, words=WORDS, spaces=SPACES)
    other.user_data.update(json.loads(json.dumps(doc.user_data)))
    assert seen(other) == POE
    other.user_data.update(srsly.msgpack_loads(srsly.msgpack_dumps(doc.user_data)))
    assert seen(other) == POE


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("relate_first_and_last")
    texts = ["Poe lived in Boston", "Ada met Grace", "a b"]
    expected = [seen(doc) for doc in nlp.pipe(texts)]
    assert [relations[0][4] for relations in expected] == ["Boston", "Grace", "b"]
    docs = list(nlp.pipe(texts, n_process=2, batch_size=1))
    assert [seen(doc) for doc in docs] == expected


# Other tokens


def test_merge_entities(doc: Doc) -> None:
    with doc.retokenize() as retokenizer:
        for ent in doc.ents:
            retokenizer.merge(ent)
    assert [token.text for token in doc] == ["Edgar Allan Poe", "was", "born", "in", "Boston", "."]
    assert [(r.head.text, r.tail.text) for r in doc._.relations] == [
        ("Edgar Allan Poe", "Boston"),
        ("Boston", "Edgar Allan Poe"),
    ]
    assert (doc._.relations[0].tail.start, doc._.relations[0].tail.end) == (4, 5)


def test_merge_across_a_boundary_expands(doc: Doc) -> None:
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[2:4])
    assert doc._.relations[0].head.text == "Edgar Allan Poe was"
    assert doc._.relations[0].tail.text == "Boston"


def test_split(doc: Doc) -> None:
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[6], ["Bos", "ton"], heads=[doc[5], doc[5]])
    assert doc._.relations[0].tail.text == "Boston"
    assert len(doc._.relations[0].tail) == 2


def test_white_space_tokens(vocab: Vocab) -> None:
    doc = Doc(vocab, words=["\n", "a", "  ", "b", " "], spaces=[True, True, False, True, False])
    for start, end in ((0, 2), (1, 3), (2, 3), (2, 5), (3, 4)):
        doc._.relations = [(doc[start:end], doc[1:2], "R")]
        (relation,) = doc._.relations
        assert (relation.head.start, relation.head.end) == (start, end)


# One doc from another


def test_spacys_as_doc_is_an_error_not_a_wrong_span(doc: Doc) -> None:
    for span in (doc[1:], doc[:7], doc[3:5], doc[0:0]):
        copy = span.as_doc(copy_user_data=True)
        with pytest.raises(ValueError, match=r"^\[D002\] .*spacy_deeper\.as_doc"):
            _ = copy._.relations
        with pytest.raises(ValueError, match="D002"):
            as_doc(copy[:])
        with pytest.raises(ValueError, match="D002"):
            from_docs([doc, copy])


def test_spacys_as_doc_of_the_whole_is_right(doc: Doc) -> None:
    assert seen(doc[:].as_doc(copy_user_data=True)) == POE


def test_as_doc_without_user_data_has_none(doc: Doc) -> None:
    assert not has_relations(doc[1:].as_doc())


@pytest.mark.parametrize("copy_user_data", [False, True])
def test_as_doc_shifts(vocab: Vocab, copy_user_data: bool) -> None:
    words = [*WORDS, "Ada", "met", "Grace", "in", "London", "."]
    ents = [*ENTS, "B-Peop", "O", "B-Peop", "O", "B-Loc", "O"]
    doc = Doc(vocab, words=words, ents=ents)
    doc.user_data["other"] = "data"
    poe, boston, ada, grace, london = doc.ents
    doc._.relations = [
        (poe, boston, "Live_In", 0.5),
        (grace, ada, "Know", 0.25),
        (ada, london, "Live_In", 1.0),
        (poe, london, "Live_In", 0.0),
    ]
    second = as_doc(doc[8:], copy_user_data=copy_user_data)
    assert second.user_data.get("other") == ("data" if copy_user_data else None)
    assert [ent.text for ent in second.ents] == ["Ada", "Grace", "London"]
    assert seen(second) == [
        ("Grace", 2, 3, "Peop", "Ada", 0, 1, "Peop", "Know", 0.25),
        ("Ada", 0, 1, "Peop", "London", 4, 5, "Loc", "Live_In", 1.0),
    ]
    # The last token of the span is the end of a relation; a span that cuts an entity drops it.
    assert [row[8] for row in seen(as_doc(doc[8:11]))] == ["Know"]
    assert [row[8] for row in seen(as_doc(doc[:7]))] == ["Live_In"]
    assert seen(as_doc(doc[1:7])) == []
    assert has_relations(as_doc(doc[1:7]))
    assert has_relations(as_doc(doc[0:0]))
    assert len(doc._.relations) == 4


def test_as_doc_of_an_unannotated_doc(vocab: Vocab) -> None:
    assert not has_relations(as_doc(Doc(vocab, words=WORDS)[2:5]))


@pytest.mark.parametrize("ensure_whitespace", [True, False])
@pytest.mark.parametrize("last", [".", "\n", " "])
@pytest.mark.parametrize("space", [True, False])
def test_from_docs(vocab: Vocab, ensure_whitespace: bool, last: str, space: bool) -> None:
    words = [*WORDS[:-1], last]
    docs = []
    for index in range(3):
        doc = Doc(vocab, words=words, spaces=[*SPACES[:-1], space], ents=ENTS)
        doc._.relations = [Relation(*doc.ents, f"R{index}", index / 4)]
        docs.append(doc)
    empty = Doc(vocab)
    unannotated = Doc(vocab, words=["Nothing", "here"], spaces=[True, False])
    docs = [empty, docs[0], unannotated, empty, docs[1], docs[2], empty]
    merged = from_docs(iter(docs), ensure_whitespace=ensure_whitespace)
    assert merged is not None
    assert merged.text == Doc.from_docs(list(map(plain, docs)), ensure_whitespace).text
    assert seen(merged) == [
        ("Edgar Allan Poe", i, i + 3, "Peop", "Boston", i + 6, i + 7, "Loc", label, score)
        for i, label, score in ((0, "R0", 0.0), (10, "R1", 0.25), (18, "R2", 0.5))
    ]


def plain(doc: Doc) -> Doc:
    doc = doc.copy()
    doc.user_data.clear()
    return doc


def test_from_docs_then_as_doc_gives_the_docs_back(vocab: Vocab) -> None:
    docs = [make_poe(vocab) for _ in range(3)]
    merged = from_docs(docs)
    assert merged is not None
    length = len(WORDS)
    parts = [as_doc(merged[i * length : (i + 1) * length]) for i in range(3)]
    assert [part.user_data for part in parts] == [doc.user_data for doc in docs]


def test_from_docs_without_docs_or_relations(vocab: Vocab) -> None:
    assert from_docs([]) is None
    merged = from_docs([Doc(vocab), Doc(vocab, words=["a"])])
    assert merged is not None
    assert not has_relations(merged)


def test_from_docs_of_empty_docs(vocab: Vocab) -> None:
    doc = Doc(vocab)
    doc._.relations = []
    merged = from_docs([doc, doc])
    assert merged is not None
    assert len(merged) == 0
    assert has_relations(merged)


def test_from_docs_respects_exclude(doc: Doc) -> None:
    merged = from_docs([doc, doc], exclude=["user_data"])
    assert merged is not None
    assert not has_relations(merged)


def test_from_docs_silences_only_our_warning(doc: Doc) -> None:
    doc.user_data["other"] = USER_DATA_KEY
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from_docs([doc, doc])
    assert len(caught) == 2
    assert all("W102" in str(w.message) and "'other: " in str(w.message) for w in caught)


# The extension


def test_install_twice() -> None:
    before = Doc.get_extension("relations")
    install_extension()
    install_extension()
    assert Doc.get_extension("relations") == before
    assert has_own_extension()


def test_install_says_what_to_do_about_another_package(foreign_extension: None) -> None:
    before = Doc.get_extension("relations")
    with pytest.raises(ValueError, match=r"^\[D001\] .*remove_extension\('relations'\)"):
        install_extension()
    assert Doc.get_extension("relations") == before
    assert not has_own_extension()


def test_import_leaves_another_package_alone() -> None:
    out = run_python(
        "from spacy.tokens import Doc\n"
        "Doc.set_extension('relations', default='theirs')\n"
        "import spacy_deeper\n"
        "print(Doc.get_extension('relations')[0])"
    )
    assert out == "theirs"


def test_import_is_light() -> None:
    heavy = ["transformers", "spacy_transformers", "torchcrf"]
    out = run_python(f"import spacy_deeper, sys; print([m for m in {heavy} if m in sys.modules])")
    assert out == "[]"


def test_public_names() -> None:
    assert sorted(spacy_deeper.__all__) == spacy_deeper.__all__
    assert all(hasattr(spacy_deeper, name) for name in spacy_deeper.__all__)


def test_unlabelled_spans_have_the_types_of_the_entities():
    doc = Doc(Vocab(), words=["Ann", "left", "Oslo", "today"])
    doc.ents = [Span(doc, 0, 1, label="Peop"), Span(doc, 2, 3, label="Loc")]
    set_relations(doc, [(doc[0:1], doc[2:3], "Left"), (doc[0:1], doc[2:4], "Left")])
    types = [(relation.head.label_, relation.tail.label_) for relation in get_relations(doc)]
    assert types == [("Peop", "Loc"), ("Peop", "")]


def test_types_of_entities_that_are_set_after_the_relations() -> None:
    doc = Doc(Vocab(), words=WORDS, spaces=SPACES)
    doc._.relations = [(doc[0:3], doc[6:7], "Live_In", 0.97)]
    assert [relation.head.label_ for relation in doc._.relations] == [""]
    doc.set_ents([Span(doc, 0, 3, "Peop"), Span(doc, 6, 7, "Loc")])
    assert seen(doc) == POE[:1]
    doc.set_ents([Span(doc, 0, 4, "Peop")])
    assert [relation.head.label_ for relation in doc._.relations] == [""]
