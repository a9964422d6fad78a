"""Splits beside each other: what is new in one, and the texts that stand there more than once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from .data import Comparison, Duplicate, Split, by_key


def compare(train: Split, other: Split) -> Comparison:
    seen = {triple[:2] for triple in train.triples}
    pairs = {triple[:2] for triple in other.triples}

    def new(key: str) -> Counter[Any]:
        seen = getattr(train, key)
        counts = getattr(other, key)
        return Counter({item: n for item, n in counts.most_common() if item not in seen})

    return Comparison(
        new_ents=by_key(new("ents")),
        new_relations=by_key(new("relations")),
        new_signatures=new("signatures"),
        missing_relations=sorted(set(train.relations) - set(other.relations)),
        pairs=len(pairs),
        unseen_pairs=len(pairs - seen),
        relations=other.triples.total(),
        relations_of_unseen_pairs=sum(n for k, n in other.triples.items() if k[:2] not in seen),
        known_relations=sum(n for k, n in other.triples.items() if k in train.triples),
        entity_texts=len(other.entity_types),
        unseen_entity_texts=len(other.entity_types.keys() - train.entity_types.keys()),
    )


def group_duplicates(splits: Mapping[str, Split]) -> Iterator[Duplicate]:
    for text in dict.fromkeys(chain.from_iterable(split.texts for split in splits.values())):
        docs = {name: split.texts[text] for name, split in splits.items() if text in split.texts}
        if sum(map(len, docs.values())) > 1:
            found = {splits[name].annotations[i] for name, at in docs.items() for i in at}
            name, at = next(iter(docs.items()))
            yield Duplicate(splits[name].excerpts[at[0]], docs, len(found) == 1)


def count_repeats(one: Split, other: Split) -> int:
    if one is other:
        return sum(len(docs) - 1 for docs in one.texts.values())
    return sum(len(docs) for text, docs in one.texts.items() if text in other.texts)
