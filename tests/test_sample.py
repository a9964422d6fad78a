"""The sample corpus is what its README says."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc

from spacy_deeper import get_relations
from spacy_deeper.training.formats import FORMATS

SAMPLE = Path(__file__).parent.parent / "assets" / "sample"
PARTS = ("train", "dev", "test")
SIGNATURES = {
    "Live_In": ("Peop", "Loc"),
    "Work_For": ("Peop", "Org"),
    "Located_In": ("Loc", "Loc"),
    "OrgBased_In": ("Org", "Loc"),
    "Kill": ("Peop", "Peop"),
}


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Doc]]:
    nlp = spacy.blank("en")
    return {part: list(FORMATS["markup"].read(SAMPLE / f"{part}.txt", nlp)) for part in PARTS}


def test_counts_are_those_of_the_readme(sample):
    counts = {part: count(docs) for part, docs in sample.items()}
    table = {}
    for line in (SAMPLE / "README.md").read_text().splitlines():
        if cells := re.fullmatch(r"\| (\S.*?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", line):
            name, *numbers = cells.groups()
            table[name.strip("`")] = [int(number) for number in numbers]
    assert table == {
        name: [*row, sum(row)]
        for name in counts["train"]
        for row in [[counts[part][name] for part in PARTS]]
    }


def count(docs: list[Doc]) -> Counter:
    with_relations = sum(bool(get_relations(doc)) for doc in docs)
    without_entities = sum(not doc.ents for doc in docs)
    return Counter(
        {
            "sentences": len(docs),
            "… with relations": with_relations,
            "… with entities, without relations": len(docs) - with_relations - without_entities,
            "… without entities": without_entities,
            "entities": sum(len(doc.ents) for doc in docs),
            "relations": sum(len(get_relations(doc)) for doc in docs),
            **Counter(ent.label_ for doc in docs for ent in doc.ents),
            **Counter(relation.label for doc in docs for relation in get_relations(doc)),
        }
    )


def test_relations_keep_to_the_schema(sample):
    for docs in sample.values():
        for doc in docs:
            for head, tail, label, _ in get_relations(doc):
                assert (head.label_, tail.label_) == SIGNATURES[label], doc.text


def test_no_sentence_and_no_pair_is_in_two_parts(sample):
    pairs, texts = {}, {}
    for part, docs in sample.items():
        texts[part] = {doc.text for doc in docs}
        assert len(texts[part]) == len(docs)
        pairs[part] = {
            frozenset(pair)
            for doc in docs
            for pair in combinations([ent.text for ent in doc.ents], 2)
        }
    for one, other in combinations(PARTS, 2):
        assert not texts[one] & texts[other]
        assert not pairs[one] & pairs[other]


def test_directions_vary(sample):
    """Either argument of each relation may come first in the text."""
    first = Counter(
        (relation.label, relation.head.start < relation.tail.start)
        for doc in sample["train"]
        for relation in get_relations(doc)
    )
    for label in SIGNATURES:
        assert min(first[label, True], first[label, False]) >= 10
