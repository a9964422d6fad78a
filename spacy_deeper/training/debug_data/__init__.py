"""What annotated data holds, and what in it will be in the way of a training.

`analyse` reads docs, split by split, and returns plain counts and findings; it prints nothing. Its
entities are those that `relation_scorer` learns from: `doc.ents`, and what only relations name.
"""

from collections.abc import Iterable, Mapping

from spacy.tokens import Doc

from .comparison import compare, count_repeats, group_duplicates
from .data import FEW, Analysis, Finding
from .distances import histogram
from .findings import MAX_REPEATS, find_all
from .reading import read_split

__all__ = ["FEW", "MAX_REPEATS", "RARE", "Analysis", "Finding", "analyse", "histogram"]

RARE = 5  # a signature with fewer relations is rare


def analyse(splits: Mapping[str, Iterable[Doc]], *, rare: int = RARE) -> Analysis:
    """Analyse annotated data.

    splits (Mapping[str, Iterable[Doc]]): The docs of each split by its name, that of training
        first. They are read once, and not kept.
    rare (int): A signature with fewer relations than this is rare.
    RETURNS (Analysis): The counts, and the findings, the grave ones first.
    RAISES (ValueError): If the relations of a doc can't be read.
    """
    read = {name: read_split(name, docs, rare) for name, docs in splits.items()}
    train, *others = read.values()
    analysis = Analysis(
        rare,
        read,
        {other.name: compare(train, other) for other in others},
        list(group_duplicates(read)),
        {one.name: {b.name: count_repeats(one, b) for b in read.values()} for one in read.values()},
    )
    order = ("fail", "warn", "info", "good")
    analysis.findings = sorted(find_all(analysis), key=lambda finding: order.index(finding.level))
    return analysis
