"""Our ELMo beside AllenNLP's, number by number."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_deeper.models.elmo import Elmo, character_ids

WORDS = ["Poe", "died", "in", "Baltimore", ".", "naïve", "Ελλάς", "😀", "a" * 100, " ", "\n"]


def make(folder: Path, **settings):
    return Elmo(str(folder / "options.json"), str(folder / "weights.hdf5"), **settings)


def layers_of(model):
    (layer,) = [node for node in model.walk() if node.name == "elmo_layers"]
    return layer


@pytest.mark.skipif(importlib.util.find_spec("allennlp") is not None, reason="AllenNLP is here")
def test_without_allennlp(tiny_elmo: Path) -> None:
    with pytest.raises(ImportError, match=r"^\[D246\] .*'native'"):
        make(tiny_elmo, backend="allennlp").initialize()


def batches(n: int = 6) -> list[list[Doc]]:
    """Batches of texts of all lengths, the empty one too."""
    rng, vocab = numpy.random.default_rng(0), Vocab()
    sizes = rng.integers(0, 12, size=(n, 4))
    return [
        [Doc(vocab, words=rng.choice(WORDS, size=size).tolist()) for size in batch]
        for batch in sizes
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("stateful", "clips"), [(False, {}), (True, {}), (False, {"cell_clip": 0, "proj_clip": 0})]
)
def test_both_backends_give_the_same(
    tiny_elmo: Path, tmp_path: Path, stateful: bool, clips: dict[str, int]
) -> None:
    pytest.importorskip("allennlp.modules.elmo")
    folder = shutil.copytree(tiny_elmo, tmp_path / "elmo")
    options = json.loads((folder / "options.json").read_text())
    options["lstm"].update(clips)
    (folder / "options.json").write_text(json.dumps(options))
    ours, theirs, loaded = (
        layers_of(make(folder, stateful=stateful, backend=backend))
        for backend in ("native", "allennlp", "allennlp")
    )
    ours.initialize()
    theirs.initialize()
    loaded.from_bytes(theirs.to_bytes())
    for docs in batches():
        expected = ours.predict(docs)
        for model in (theirs, loaded):
            for one, other in zip(model.predict(docs), expected, strict=True):
                numpy.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_characters() -> None:
    elmo = pytest.importorskip("allennlp.modules.elmo")
    expected = elmo.batch_to_ids([WORDS])[0].numpy() - 1  # which keeps 0 for padding
    numpy.testing.assert_array_equal(character_ids(WORDS, 50)[2:], expected)
