import json
import subprocess
import sys
from collections import Counter

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline.joint import gold_doc, relations_of
from sklearn.model_selection import StratifiedKFold
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_deeper.protocols.runs import file_hash
from spacy_deeper.protocols.splits import join, make_folds, read, split, write

VOCAB = Vocab()
N_WORDS = 5  # and so four relations at most


def make_doc(text, n_relations=0):
    words = [text, *"bcde"]
    ents = [(i, i + 1, "E") for i in range(N_WORDS)]
    return gold_doc(VOCAB, words, ents, [(0, 1 + i, "R") for i in range(n_relations)])


def make_docs(n, n_texts=None):
    return [make_doc(f"t{i % (n_texts or n)}", i % 4) for i in range(n)]


texts = st.integers(0, 40).map("t{}".format)
docs = st.lists(st.builds(make_doc, texts, st.integers(0, 4)), min_size=10, max_size=60)


@given(docs, st.integers(2, 6), st.sampled_from([0, 0.1, 0.25, 0.4]), st.integers(0, 9))
@hypothesis_settings(max_examples=60)
def test_partition(docs, n_folds, dev_fraction, seed):
    assume(len({doc.text for doc in docs}) >= 15)
    dev, folds = split(docs, n_folds, dev_fraction, seed)
    parts = [dev, *folds]
    assert sorted(i for part in parts for i in part) == list(range(len(docs)))
    assert len(folds) == n_folds
    assert all(folds)
    assert bool(dev) == bool(dev_fraction)
    texts = [{docs[i].text for i in part} for part in parts]
    assert len(set.union(*texts)) == sum(map(len, texts))
    assert (dev, folds) == split(docs, n_folds, dev_fraction, seed)


@pytest.mark.parametrize("n", [11, 40, 103])
def test_strata(n):
    """With distinct texts, parts differ by one at most in docs of each number of relations."""
    docs = [make_doc(f"t{i}", i * i % 5) for i in range(n)]
    _, folds = split(docs, 5, 0, seed=0)
    for stratum in ([0], [1], [2], [3, 4]):
        counts = [sum(len(relations_of(docs[i])) in stratum for i in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_as_scikit_learn():
    docs = make_docs(50)
    _, folds = split(docs, 4, 0, seed=3)
    parts = StratifiedKFold(4, shuffle=True, random_state=3).split(docs, [i % 4 for i in range(50)])
    assert folds == [part.tolist() for _, part in parts]


@pytest.mark.parametrize(("fraction", "n"), [(0, 0), (0.02, 2), (0.1, 10), (0.3, 30), (0.4, 40)])
def test_dev_fraction(fraction, n):
    dev, folds = split(make_docs(100), 10, fraction, seed=0)
    assert len(dev) == n
    assert sum(map(len, folds)) == 100 - n
    assert max(Counter(i % 4 for i in dev).values(), default=0) <= n / 4 + 2


def test_seeds():
    docs = make_docs(40)
    assert split(docs, 4, 0.1, seed=1) == split(docs, 4, 0.1, seed=1)
    assert split(docs, 4, 0.1, seed=1) != split(docs, 4, 0.1, seed=2)


def test_white_space_makes_no_other_text():
    docs = [gold_doc(VOCAB, ["a", "b"], spaces=[i % 2, i % 3]) for i in range(6)]
    docs += make_docs(3)
    _, folds = split(docs, 3, 0, seed=0)
    assert sum(not set(range(6)).isdisjoint(fold) for fold in folds) == 1


def test_too_few_texts():
    with pytest.raises(ValueError, match=r"D307.*3 different texts.*into 4 parts"):
        split(make_docs(8, n_texts=3), 4, 0, seed=0)
    with pytest.raises(ValueError, match="D307"):
        split(make_docs(9), 2, 0.1, seed=0)
    assert all(split(make_docs(8, n_texts=4), 4, 0, seed=0)[1])


# Files


def content(path):
    docs = DocBin().from_disk(path).get_docs(Vocab())
    return sorted((doc.text, relations_of(doc)) for doc in docs)


@pytest.fixture
def two_files(tmp_path):
    docs = make_docs(24)
    paths = [tmp_path / "a.spacy", tmp_path / "b.spacy"]
    write(docs[:10], paths[0])
    write(docs[10:], paths[1])
    return docs, paths


@pytest.mark.parametrize("dev_fraction", [0, 0.25])
def test_fold_files(tmp_path, two_files, dev_fraction):
    docs, paths = two_files
    folder = tmp_path / "data"
    folds = make_folds(paths, folder, 3, dev_fraction, seed=7)
    numbers = json.loads((folder / "folds.json").read_text())
    assert numbers["seed"] == 7
    assert numbers["files"] == [str(path) for path in paths]
    dev, parts = split(docs, 3, dev_fraction, seed=7)
    assert (numbers["dev"], numbers["folds"]) == (dev, parts)

    def expected(indices):
        return sorted((docs[i].text, relations_of(docs[i])) for i in indices)

    for k, (fold, part) in enumerate(zip(folds, parts, strict=True)):
        assert content(fold.test) == expected(part)
        assert content(fold.train) == expected(i for p in parts[:k] + parts[k + 1 :] for i in p)
    assert (folder / "dev.spacy").exists() == bool(dev_fraction)
    if dev_fraction:
        assert content(folder / "dev.spacy") == expected(dev)
        assert content(folder / "rest.spacy") == expected(i for part in parts for i in part)


def test_files_are_the_same_in_another_process(tmp_path, two_files):
    """Else a protocol could not go on where it was."""
    _, paths = two_files
    make_folds(paths, tmp_path / "here", 3, 0.25, seed=0)
    join(paths, tmp_path / "here" / "joined.spacy")
    code = """
import sys
from pathlib import Path
from spacy_deeper.protocols.splits import join, make_folds
*paths, there = map(Path, sys.argv[1:])
make_folds(paths, there, 3, 0.25, seed=0)
join(paths, there / "joined.spacy")
"""
    there = tmp_path / "there"
    subprocess.run([sys.executable, "-c", code, *paths, there], check=True)
    files = sorted(path.relative_to(there) for path in there.rglob("*.spacy"))
    assert len(files) == 9
    assert {file_hash(there / path) == file_hash(tmp_path / "here" / path) for path in files} == {
        True
    }


def test_join(tmp_path, two_files):
    docs, paths = two_files
    assert join(paths[:1], tmp_path / "joined.spacy") == paths[0]
    joined = join(paths, tmp_path / "new" / "joined.spacy")
    assert [doc.text for doc in read([joined])] == [doc.text for doc in docs]
    assert content(joined) == sorted(content(paths[0]) + content(paths[1]))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"no data"), "no .spacy data"),
        (lambda path: DocBin().to_disk(path), "no documents"),
    ],
)
def test_unreadable_files(tmp_path, two_files, make, said):
    path = tmp_path / "bad.spacy"
    make(path)
    with pytest.raises(ValueError, match=f"D161.*{said}"):
        join([two_files[1][0], path], tmp_path / "joined.spacy")
    assert not (tmp_path / "joined.spacy").exists()


def test_numbers_are_plain(tmp_path, two_files):
    dev, folds = split(two_files[0], 3, 0.25, seed=0)
    assert not any(isinstance(i, numpy.integer) for part in [dev, *folds] for i in part)


def test_data_of_another_split_stay(tmp_path, make_docs):
    """What finished runs were trained on is not overwritten."""
    first, second = tmp_path / "first.spacy", tmp_path / "second.spacy"
    write(make_docs(*(f"text {i}" for i in range(8))), first)
    write(make_docs(*(f"other {i}" for i in range(8))), second)
    out = tmp_path / "out"
    make_folds([first], out, 2, 0, 0)
    join([first, second], out / "joined.spacy")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    make_folds([first], out, 2, 0, 0)
    join([first, second], out / "joined.spacy")
    for again in (
        lambda: make_folds([second], out, 2, 0, 0),
        lambda: make_folds([first], out, 2, 0, 1),
        lambda: make_folds([first], out, 4, 0, 0),
        lambda: join([second, first], out / "joined.spacy"),
    ):
        with pytest.raises(ValueError, match="D313"):
            again()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
