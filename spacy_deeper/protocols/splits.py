"""The data of runs: files put together, and folds."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import Errors
from ..relations import get_relations
from ..training.convert import write_atomically
from ..training.debug_data.reading import without_space
from .runs import file_hash

FOLDS = "folds.json"


class Fold(NamedTuple):
    """The files of one fold."""

    train: Path
    test: Path


def read(paths: Iterable[Path]) -> list[Doc]:
    """Read `.spacy` files one after the other, and complain of one without docs.

    RETURNS (List[Doc]): The docs, of one vocabulary.
    """
    vocab = Vocab()
    docs: list[Doc] = []
    for path in paths:
        try:
            found = list(DocBin().from_disk(path).get_docs(vocab))
        except OSError as err:
            raise ValueError(Errors.D161.format(path=path, problem=err.strerror)) from None
        # A file that is no DocBin fails in zlib or msgpack, each with exceptions of its own.
        except Exception as err:
            problem = f"it is no .spacy data ({err})."
            raise ValueError(Errors.D161.format(path=path, problem=problem)) from err
        if not found:
            raise ValueError(Errors.D161.format(path=path, problem="it has no documents."))
        docs.extend(found)
    return docs


def to_bin(docs: Iterable[Doc]) -> DocBin:
    """Return docs as what a `.spacy` file is made of, with their relations."""
    return DocBin(docs=docs, store_user_data=True)


def write(docs: Iterable[Doc], path: Path) -> Path:
    """Write docs to a `.spacy` file."""
    write_atomically(path, to_bin(docs).to_bytes())
    return path


def join(paths: Sequence[Path], output: Path) -> Path:
    """Return one file with the docs of all: the only one itself, or a new one."""
    if len(paths) == 1:
        return paths[0]
    content = to_bin(read(paths)).to_bytes()
    if output.exists() and output.read_bytes() != content:
        raise ValueError(Errors.D313.format(path=output))
    write_atomically(output, content)
    return output


def make_folds(
    paths: Sequence[Path], folder: Path, n_folds: int, dev_fraction: float, seed: int
) -> list[Fold]:
    """Hold a part of the data out as dev, and split the rest for cross-validation.

    Both are stratified by a doc's number of relations (0, 1, 2, 3 or more), and docs of one text
    stay together. Which are in which fold is written to `folds.json`: the numbers of the docs,
    counted from 0 through the files.

    paths (Sequence[Path]): `.spacy` files.
    folder (Path): Where to write the files: `dev.spacy` and the `rest.spacy`, to choose settings
        by; `fold-0/train.spacy`, `fold-0/test.spacy` and so on.
    n_folds (int): At least 2.
    dev_fraction (float): The part that no fold has; with 0 there is none.
    seed (int): Of the shuffling.
    RETURNS (List[Fold]): The files.
    """
    docs = read(paths)
    dev, tests = split(docs, n_folds, dev_fraction, seed)
    numbers = {
        "seed": seed,
        "files": [str(path) for path in paths],
        "sha256": [file_hash(path) for path in paths],
        "dev": dev,
        "folds": tests,
    }
    if (folder / FOLDS).exists() and srsly.read_json(folder / FOLDS) != numbers:
        raise ValueError(Errors.D313.format(path=folder / FOLDS))
    write_atomically(folder / FOLDS, srsly.json_dumps(numbers).encode() + b"\n")
    if dev:
        write((docs[i] for i in dev), folder / "dev.spacy")
        write((docs[i] for i in _flat(tests)), folder / "rest.spacy")
    folds = []
    bins = [to_bin(docs[i] for i in test) for test in tests]
    for k, test_bin in enumerate(bins):
        train_bin = to_bin([])
        for other in bins[:k] + bins[k + 1 :]:
            train_bin.merge(other)
        fold = Fold(folder / f"fold-{k}" / "train.spacy", folder / f"fold-{k}" / "test.spacy")
        for path, docs_bin in zip(fold, (train_bin, test_bin), strict=True):
            write_atomically(path, docs_bin.to_bytes())
        folds.append(fold)
    return folds


def split(
    docs: Sequence[Doc], n_folds: int, dev_fraction: float, seed: int
) -> tuple[list[int], list[list[int]]]:
    """Return the numbers of the docs held out, and those of each fold."""
    groups: dict[str, list[int]] = {}
    for i, doc in enumerate(docs):
        groups.setdefault(without_space(doc.text), []).append(i)
    rest = list(groups.values())
    strata = {i: min(3, len(get_relations(doc))) for i, doc in enumerate(docs)}
    dev: list[int] = []
    if dev_fraction > 0:
        share = _simple(dev_fraction)
        parts = _cut(rest, strata, share.denominator, seed)
        held_out, others = parts[: share.numerator], parts[share.numerator :]
        dev = _flat(group for part in held_out for group in part)
        rest = [group for part in others for group in part]
    return dev, [_flat(part) for part in _cut(rest, strata, n_folds, seed)]


def _simple(fraction: float) -> Fraction:
    """Return a fraction with few parts: 1/10, 2/5."""
    if fraction < 0.05:
        return Fraction(1, round(1 / fraction))
    return Fraction(fraction).limit_denominator(20)


def _cut(
    groups: list[list[int]], strata: Mapping[int, int], n: int, seed: int
) -> list[list[list[int]]]:
    """Cut into n parts with about as many groups of each stratum, that of the first doc."""
    try:
        from sklearn.model_selection import StratifiedKFold
    except ImportError as err:
        raise ValueError(Errors.D341.format(problem=err)) from err
    if len(groups) < n:
        raise ValueError(Errors.D307.format(texts=len(groups), parts=n))
    y = [strata[group[0]] for group in groups]
    if max(Counter(y).values()) < n:
        y = [0] * len(y)  # no stratum reaches all parts: scikit-learn would refuse
    with warnings.catch_warnings():
        # A stratum with less than n groups is spread as far as it goes.
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = StratifiedKFold(n, shuffle=True, random_state=seed)
        parts = list(folds.split(groups, y))
    return [[groups[i] for i in part] for _, part in parts]


def _flat(groups: Iterable[list[int]]) -> list[int]:
    return sorted(i for group in groups for i in group)
