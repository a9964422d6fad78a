"""The data of runs: files put together, and folds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import Errors
from ..relations import get_relations
from ..training.convert import replacing, write_atomically

FOLDS = "folds.json"


class Fold(NamedTuple):
    """The files of one fold."""

    train: Path
    test: Path


def read(paths: Iterable[Path]) -> list[Doc]:
    """Read `.spacy` files one after the other.

    RETURNS (List[Doc]): The docs, of one vocabulary.
    """
    vocab = Vocab()
    docs: list[Doc] = []
    for path in paths:
        try:
            docs.extend(DocBin().from_disk(path).get_docs(vocab))
        except OSError as err:
            raise ValueError(Errors.D161.format(path=path, problem=err.strerror)) from None
        # A file that is no DocBin fails in zlib or msgpack, each with exceptions of its own.
        except Exception as err:
            problem = f"it is no .spacy data ({err})."
            raise ValueError(Errors.D161.format(path=path, problem=problem)) from err
    return docs


def write(docs: Iterable[Doc], path: Path) -> Path:
    """Write docs to a `.spacy` file, with their relations."""
    with replacing(path) as temp:
        DocBin(docs=docs, store_user_data=True).to_disk(temp)
    return path


def join(paths: Sequence[Path], output: Path) -> Path:
    """Return one file with the docs of all: the only one itself, or a new one."""
    return paths[0] if len(paths) == 1 else write(read(paths), output)


def make_folds(
    paths: Sequence[Path], folder: Path, n_folds: int, dev_fraction: float, seed: int
) -> list[Fold]:
    """Hold a part of the data out as dev, and split the rest for cross-validation.

    Both are stratified by a doc's number of relations (0, 1, 2, 3 or more), and docs of one text
    stay together. Which are in which fold is written to `folds.json`: the numbers of the docs,
    counted from 0 through the files.

    paths (Sequence[Path]): `.spacy` files.
    folder (Path): Where to write the files, `dev.spacy` and `fold-0/train.spacy` and so on.
    n_folds (int): At least 2.
    dev_fraction (float): The part that no fold has; with 0 there is none.
    seed (int): Of the shuffling.
    RETURNS (List[Fold]): The files.
    """
    docs = read(paths)
    dev, tests = split(docs, n_folds, dev_fraction, seed)
    numbers = {"seed": seed, "files": [str(p) for p in paths], "dev": dev, "folds": tests}
    if dev:
        write((docs[i] for i in dev), folder / "dev.spacy")
    folds = []
    for k, test in enumerate(tests):
        rest = [i for other in tests if other is not test for i in other]
        here = folder / f"fold-{k}"
        folds.append(
            Fold(
                write((docs[i] for i in sorted(rest)), here / "train.spacy"),
                write((docs[i] for i in test), here / "test.spacy"),
            )
        )
    write_atomically(folder / FOLDS, srsly.json_dumps(numbers).encode() + b"\n")
    return folds


def split(
    docs: Sequence[Doc], n_folds: int, dev_fraction: float, seed: int
) -> tuple[list[int], list[list[int]]]:
    """Return the numbers of the docs held out, and those of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    texts: dict[str, int] = {}
    groups = [texts.setdefault("".join(doc.text.split()), len(texts)) for doc in docs]
    strata = [min(3, len(get_relations(doc))) for doc in docs]

    def cut(numbers: list[int], n: int) -> list[list[int]]:
        folds = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
        y, g = [strata[i] for i in numbers], [groups[i] for i in numbers]
        return [[numbers[i] for i in test] for _, test in folds.split(numbers, y, g)]

    rest = list(range(len(docs)))
    dev: list[int] = []
    if dev_fraction > 0:
        dev = cut(rest, round(1 / dev_fraction))[0]
        held_out = set(dev)
        rest = [i for i in rest if i not in held_out]
    return dev, cut(rest, n_folds)
