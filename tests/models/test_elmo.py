"""On AllenNLP's own test files where they are, and on random weights in the same layout."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_deeper.layers.pytorch import elmo as pytorch_elmo
from spacy_deeper.layers.torch_layer import shim_of
from spacy_deeper.models import elmo
from spacy_deeper.models.elmo import Elmo, character_ids, fingerprint

h5py = pytest.importorskip("h5py", reason="needs the extra 'elmo'")

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPACY_DEEPER_DATA", ROOT.parent / "shared" / "data"))
GOLDEN = DATA / "elmo_fixture"

TEXTS = [
    ["Poe", "died", "in", "Baltimore", "."],
    [],
    ["naïve", "Ελλάς", "😀", "-", "in", "in"],
    ["Boston"],
    ["x" * 48, "x" * 49, "é" * 30, "a" * 1000],
]
LAYERS, WIDTH = 3, 8


def make(folder: Path, weights: str = "weights.hdf5", **settings) -> Model:
    return Elmo(str(folder / "options.json"), str(folder / weights), **settings)


def layers_of(model: Model) -> Model:
    """The frozen part: (n, layers, width) of each text."""
    (layer,) = [node for node in model.walk() if node.name == "elmo_layers"]
    return layer


def make_docs(texts: list[list[str]]) -> list[Doc]:
    vocab = Vocab()
    return [Doc(vocab, words=words) for words in texts]


@pytest.fixture(scope="module")
def model(tiny_elmo: Path) -> Model:
    model = make(tiny_elmo)
    model.initialize(X=make_docs([["Boston"]]))
    return model


class Reference:
    """ELMo in NumPy, a token at a time, from the files and the papers' equations.

    clipped counts the values that each clip changed.
    """

    def __init__(self, folder: Path) -> None:
        options = json.loads((folder / "options.json").read_text())
        self.cnn, self.lstm = options["char_cnn"], options["lstm"]
        self.file = h5py.File(folder / "weights.hdf5", "r")
        self.clipped = {"cell_clip": 0, "proj_clip": 0}

    def get(self, name: str) -> numpy.ndarray:
        return self.file[name][()].astype("float64")

    def clip(self, x: numpy.ndarray, name: str) -> numpy.ndarray:
        limit = self.lstm[name]
        self.clipped[name] += (abs(x) > limit).sum()
        return numpy.clip(x, -limit, limit)

    def word(self, characters: list[int]) -> numpy.ndarray:
        rows = self.get("char_embed")[[258, *characters, 259, *[260] * (48 - len(characters))]]
        features = []
        for i, (width, _) in enumerate(self.cnn["filters"]):
            windows = [rows[k : k + width] for k in range(50 - width + 1)]
            weights = self.get(f"CNN/W_cnn_{i}")[0]
            scores = [numpy.einsum("wd,wdn->n", window, weights) for window in windows]
            features.append(numpy.maximum(numpy.max(scores, 0) + self.get(f"CNN/b_cnn_{i}"), 0))
        x = numpy.concatenate(features)
        for i in range(self.cnn["n_highway"]):
            both = {
                name: x @ self.get(f"CNN_high_{i}/W_{name}") + self.get(f"CNN_high_{i}/b_{name}")
                for name in ("carry", "transform")
            }
            carry = sigmoid(both["carry"])
            x = carry * numpy.maximum(both["transform"], 0) + (1 - carry) * x
        return x @ self.get("CNN_proj/W_proj") + self.get("CNN_proj/b_proj")

    def run(self, xs: list[numpy.ndarray], direction: int, layer: int, state) -> tuple:
        """Return the outputs in the order of reading, and the last state."""
        cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
        W, B, P = (self.get(cell + name) for name in ("W_0", "B", "W_P_0"))
        h, c = state or (numpy.zeros(P.shape[1]), numpy.zeros(P.shape[0]))
        outputs = []
        for x in xs:
            i, j, f, o = numpy.split(numpy.concatenate([x, h]) @ W + B, 4)
            c = self.clip(sigmoid(f + 1) * c + sigmoid(i) * numpy.tanh(j), "cell_clip")
            h = self.clip((sigmoid(o) * numpy.tanh(c)) @ P, "proj_clip")
            outputs.append(h + x if layer else h)
        return outputs, (h, c)

    def __call__(self, words: list[str], states: dict | None = None) -> numpy.ndarray:
        """Return (n, layers, width); carry the states of both directions' layers along."""
        states = {} if states is None else states
        known = {word: self.word(list(word.encode()[:48])) for word in set(words)}
        vectors = [self.word([256]), *(known[word] for word in words), self.word([257])]
        halves = []
        for direction in range(2):
            xs = vectors[:: -1 if direction else 1]
            layers = [xs]
            for layer in range(self.lstm["n_layers"]):
                key = direction, layer
                xs, states[key] = self.run(xs, direction, layer, states.get(key))
                layers.append(xs)
            halves.append(numpy.array(layers)[:, :: -1 if direction else 1])
        return numpy.concatenate(halves, 2).transpose(1, 0, 2)[1:-1]


def sigmoid(x: numpy.ndarray) -> numpy.ndarray:
    return 1 / (1 + numpy.exp(-x))


@pytest.fixture(scope="module")
def reference(tiny_elmo: Path) -> Reference:
    return Reference(tiny_elmo)


def test_the_layers_are_those_of_the_equations(model: Model, reference: Reference) -> None:
    docs = make_docs(TEXTS)
    outputs = layers_of(model).predict(docs)
    mixed = model.predict(docs)
    for words, rows, mix in zip(TEXTS, outputs, mixed, strict=True):
        expected = reference(words)
        assert rows.shape == (len(words), LAYERS, WIDTH)
        numpy.testing.assert_allclose(rows, expected, atol=1e-5)
        numpy.testing.assert_allclose(mix, expected.mean(1), atol=1e-5)
    assert min(reference.clipped.values()) > 20


def test_states_are_carried_on_request(tiny_elmo: Path, reference: Reference) -> None:
    """From batch to batch and row by row, whatever the sizes of the batches."""
    model = make(tiny_elmo, stateful=True)
    model.initialize()
    states: list[dict] = [{} for _ in range(5)]
    for batch in (TEXTS[3:], TEXTS, TEXTS[:1], TEXTS[::-1], [[]], TEXTS[2:]):
        outputs = layers_of(model).predict(make_docs(batch))
        for words, rows, state in zip(batch, outputs, states, strict=False):
            numpy.testing.assert_allclose(rows, reference(words, state), atol=1e-5)


def golden() -> list[list[tuple[list[str], numpy.ndarray]]]:
    """Return ten batches of three sentences, each with the last layer of its tokens."""
    if not GOLDEN.is_dir():
        pytest.skip(f"no ELMo files at {GOLDEN}: set SPACY_DEEPER_DATA to the folder above")
    streams = json.loads((GOLDEN / "sentences.json").read_text())
    batches: list[list] = [[] for _ in range(10)]
    for i, sentences in enumerate(streams):
        with h5py.File(GOLDEN / f"lm_embeddings_{i}.hdf5") as file:
            for k, sentence in enumerate(sentences):
                batches[k].append((sentence.split(), numpy.concatenate(file[str(k)][()], axis=1)))
    return batches


def test_the_vectors_are_those_of_the_original_code() -> None:
    """AllenNLP's golden files: states are carried from batch to batch."""
    batches = golden()
    model = make(GOLDEN, "lm_weights.hdf5", stateful=True)
    model.initialize()
    for batch in batches:
        outputs = layers_of(model).predict(make_docs([words for words, _ in batch]))
        for rows, (_, expected) in zip(outputs, batch, strict=True):
            numpy.testing.assert_allclose(rows[:, 2], expected, atol=1e-5)


def test_by_default_no_states_are_carried() -> None:
    """A text's vectors are those that it has at the beginning of the original code's run."""
    batches = golden()
    model = make(GOLDEN, "lm_weights.hdf5")
    model.initialize()
    for k, batch in enumerate(batches[::-1]):
        outputs = layers_of(model).predict(make_docs([words for words, _ in batch]))
        for rows, (_, expected) in zip(outputs, batch, strict=True):
            assert numpy.allclose(rows[:, 2], expected, atol=1e-5) == (k == 9)


def test_a_batch_is_its_texts_one_by_one(model: Model, monkeypatch) -> None:
    """In any order, and however many tokens, words and steps go through at once."""
    docs = make_docs(TEXTS * 3)
    expected = [layers_of(model).predict([doc])[0] for doc in docs]
    for chunk, words, steps in ((1024, 512, 128), (7, 2, 2), (1, 1, 1)):
        monkeypatch.setattr(elmo, "CHUNK", chunk)
        monkeypatch.setattr(pytorch_elmo, "WORDS", words)
        monkeypatch.setattr(pytorch_elmo, "STEPS", steps)
        outputs = layers_of(model).predict(docs[::-1])[::-1]
        for one, other in zip(outputs, expected, strict=True):
            numpy.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("lengths", [[10], [1000], [2000], [300, 5, 1500, 120, 0, 1]])
def test_batches_are_bounded(lengths: list[int]) -> None:
    """No more than CHUNK tokens go through at once, or else one text alone."""
    lengths = lengths * 60
    batches = elmo.chunks(lengths)
    assert sorted(i for batch in batches for i in batch) == [i for i, n in enumerate(lengths) if n]
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= elmo.CHUNK for batch in batches)


@pytest.mark.parametrize("n_docs", [1, 2])
def test_no_tokens(model: Model, n_docs: int) -> None:
    outputs = model.predict(make_docs([[]] * n_docs))
    assert [output.shape for output in outputs] == [(0, WIDTH)] * n_docs


def test_white_space_is_zeros_and_is_not_read(model: Model) -> None:
    docs = make_docs([["a", " ", "\n\n", "b", "   "], ["a", "b"], [" ", "\n"]])
    spaced, plain, blank = layers_of(model).predict(docs)
    assert spaced.any(axis=(1, 2)).tolist() == [True, False, False, True, False]
    numpy.testing.assert_allclose(spaced[[0, 3]], plain, atol=1e-6)
    assert not blank.any()


def test_a_text_of_5000_tokens(model: Model, reference: Reference) -> None:
    words = (["Poe", "was", "born", "in", "Boston", "."] * 1000)[:5000]
    (rows,) = layers_of(model).predict(make_docs([words]))
    numpy.testing.assert_allclose(rows, reference(words), atol=1e-4)


def test_characters() -> None:
    ids = character_ids(["aé", "b" * 60], 50)
    assert ids.shape == (4, 50)
    assert ids[:3, :6].tolist() == [
        [258, 256, 259, 260, 260, 260],
        [258, 257, 259, 260, 260, 260],
        [258, 97, 0xC3, 0xA9, 259, 260],
    ]
    assert (ids[:3, 6:] == 260).all()
    assert ids[3].tolist() == [258, *[98] * 48, 259]


def test_only_the_mix_is_trained(model: Model) -> None:
    docs = make_docs(TEXTS)
    trained = model.copy()
    before = layers_of(trained).to_bytes()
    outputs, backprop = trained.begin_update(docs)
    backprop([numpy.ones_like(output) for output in outputs])
    seen = []
    trained.finish_update(lambda key, w, gradient: (seen.append(key[1]) or w - gradient, gradient))
    assert sorted(seen) == ["gamma", "weights"]
    assert layers_of(trained).to_bytes() == before


def test_a_saved_model_needs_no_files_and_no_h5py(
    model: Model, tiny_elmo: Path, monkeypatch, tmp_path: Path
) -> None:
    docs = make_docs(TEXTS)
    model.to_disk(tmp_path / "model")
    expected = model.predict(docs)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"^\[D241\] .*pip install \"spacy-deeper\[elmo\]\""):
        make(tiny_elmo).initialize(X=docs)
    loaded = make(tmp_path / "nowhere").from_disk(tmp_path / "model")
    for one, other in zip(loaded.predict(docs), expected, strict=True):
        numpy.testing.assert_array_equal(one, other)
    assert str(tiny_elmo).encode() not in (tmp_path / "model").read_bytes()


def test_states_are_not_saved(tiny_elmo: Path, model: Model) -> None:
    docs = make_docs(TEXTS)
    stateful = make(tiny_elmo, stateful=True)
    stateful.initialize(X=docs)
    layers = layers_of(make(tiny_elmo, stateful=True).from_bytes(stateful.to_bytes()))
    expected = layers_of(model).predict(docs)
    for same in (True, False):
        assert same == numpy.allclose(layers.predict(docs)[0], expected[0], atol=1e-5)


def test_runs_share_outputs_on_disk(tiny_elmo: Path, model: Model, tmp_path: Path) -> None:
    docs = make_docs(TEXTS)
    expected = layers_of(model).predict(docs)
    for is_first in (True, False):
        other = make(tiny_elmo, cache_dir=tmp_path)
        other.initialize()
        if not is_first:
            layers_of(other)._func = None  # it is not run
        for rows, wanted in zip(other.layers[0](docs, True)[0], expected, strict=True):
            numpy.testing.assert_allclose(rows, wanted, atol=1e-6)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_carries_states_is_not_cached(tiny_elmo: Path, tmp_path: Path) -> None:
    model = make(tiny_elmo, stateful=True, cache_dir=tmp_path)
    model.initialize(X=make_docs(TEXTS))
    model.begin_update(make_docs(TEXTS))
    assert not any(tmp_path.iterdir())


def test_a_fingerprint_is_that_of_weights_and_settings(tiny_elmo: Path, tmp_path: Path) -> None:
    def of(folder: Path, **changes) -> str:
        model = make(folder)
        model.initialize()
        layers = layers_of(model)
        shim_of(layers).cfg.update(changes)
        return fingerprint(layers)

    copied = shutil.copytree(tiny_elmo, tmp_path / "other folder")
    assert of(copied) == of(tiny_elmo)
    with h5py.File(copied / "weights.hdf5", "a") as file:
        file["char_embed"][0, 0] += 1e-3
    assert len({of(tiny_elmo), of(copied), of(tiny_elmo, cell_clip=None)}) == 3


def test_a_clip_of_zero_is_none(tiny_elmo: Path, model: Model, tmp_path: Path) -> None:
    """As it is for AllenNLP."""
    docs, found = make_docs(TEXTS), []
    for value in (0, None):
        folder = shutil.copytree(tiny_elmo, tmp_path / str(value))
        options = json.loads((folder / "options.json").read_text())
        options["lstm"].update(cell_clip=value, proj_clip=value)
        (folder / "options.json").write_text(json.dumps(options))
        other = make(folder)
        other.initialize()
        found.append(layers_of(other).predict(docs))
    for zero, none, clipped in zip(*found, layers_of(model).predict(docs), strict=True):
        numpy.testing.assert_array_equal(zero, none)
        assert len(zero) == 0 or abs(zero[:, 1:]).max() >= abs(clipped[:, 1:]).max() > 0


def test_before_initialization(tiny_elmo: Path) -> None:
    with pytest.raises(ValueError, match=r"^\[D200\] .*elmo_layers"):
        make(tiny_elmo).predict(make_docs(TEXTS))


class TestBadFiles:
    @pytest.fixture
    def folder(self, tiny_elmo: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_elmo, tmp_path / "elmo"))

    def fails(self, folder: Path, code: str, **settings) -> None:
        with pytest.raises((ValueError, OSError), match=rf"(?s)^\[{code}"):
            make(folder, **settings).initialize()

    def change(self, folder: Path, part: str, **settings) -> None:
        path = folder / "options.json"
        options = json.loads(path.read_text())
        options[part].update(settings)
        path.write_text(json.dumps(options))

    @pytest.mark.parametrize("name", ["options.json", "weights.hdf5"])
    def test_missing(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        self.fails(folder, rf"D240\] .*{name}.*spacy project assets --extra")
        (folder / name).mkdir()
        self.fails(folder, "D240")

    def test_another_checksum(self, folder: Path) -> None:
        weights = (folder / "weights.hdf5").read_bytes()
        expected = hashlib.sha256(weights).hexdigest()
        make(folder, sha256=expected.upper()).initialize()
        (folder / "weights.hdf5").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
        self.fails(folder, rf"D242\] .*weights.hdf5.* not {expected}", sha256=expected)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"lstm": {}}', "\xff", '"lstm"'])
    def test_no_options(self, folder: Path, text: str) -> None:
        (folder / "options.json").write_text(text, encoding="latin-1")
        self.fails(folder, r"D243\] .*options.json")

    @pytest.mark.parametrize(
        ("part", "name", "value"),
        [
            ("lstm", "dim", "6"),
            ("lstm", "n_layers", 0),
            ("lstm", "cell_clip", "three"),
            ("lstm", "cell_clip", -3),
            ("lstm", "proj_clip", float("nan")),
            ("lstm", "proj_clip", float("inf")),
            ("lstm", "projection_dim", None),
            ("char_cnn", "activation", "sine"),
            ("char_cnn", "filters", [[1], [2]]),
            ("char_cnn", "filters", [[51, 8]]),
            ("char_cnn", "filters", []),
            ("char_cnn", "embedding", 3),
            ("char_cnn", "max_characters_per_token", 2),
        ],
    )
    def test_impossible_options(self, folder: Path, part: str, name: str, value) -> None:
        self.change(folder, part, **{name: value})
        self.fails(folder, r"D243\] .*options.json")

    @pytest.mark.parametrize(
        ("part", "name", "value", "found"),
        [
            ("lstm", "dim", 7, r"LSTMCell/W_0' .*\(8, 24\).*\(8, 28\)"),
            ("lstm", "projection_dim", 5, "W_proj'"),
            ("lstm", "n_layers", 1, "Cell1"),
            ("lstm", "n_layers", 3, "Cell2"),
            ("char_cnn", "n_highway", 1, "CNN_high_1"),
            ("char_cnn", "n_highway", 3, "CNN_high_2"),
            ("char_cnn", "embedding", {"dim": 4}, "char_embed"),
            ("char_cnn", "filters", [[1, 2]], "CNN_high_0"),
            ("char_cnn", "filters", [[1, 2], [2, 5]], "W_cnn_1"),
        ],
    )
    def test_options_of_other_weights(
        self, folder: Path, part: str, name: str, value, found: str
    ) -> None:
        self.change(folder, part, **{name: value})
        self.fails(folder, rf"D245\] .*{found}")

    def test_a_group_instead_of_an_array(self, folder: Path) -> None:
        with h5py.File(folder / "weights.hdf5", "a") as file:
            del file["char_embed"]
            file.create_group("char_embed")
        self.fails(folder, r"D245\] .*'char_embed'")

    @pytest.mark.parametrize("size", [0, 10, 0.5, 0.99])
    def test_truncated(self, folder: Path, size: float) -> None:
        weights = (folder / "weights.hdf5").read_bytes()
        kept = int(len(weights) * size) if isinstance(size, float) else size
        (folder / "weights.hdf5").write_bytes(weights[:kept])
        self.fails(folder, r"D244\] .*weights.hdf5.*Is the download complete\?")

    def test_another_kind_of_file(self, folder: Path) -> None:
        (folder / "weights.hdf5").write_text("<html>404 Not Found</html>")
        self.fails(folder, "D244")


def test_an_unknown_backend(tiny_elmo: Path) -> None:
    with pytest.raises(ValueError, match=r"^\[D203\].*'tensorflow'.*native, allennlp"):
        make(tiny_elmo, backend="tensorflow")


def test_it_is_exact_in_autocast(tiny_elmo: Path) -> None:
    docs = make_docs(TEXTS)
    models = [make(tiny_elmo, stateful=True) for _ in range(2)]
    for model in models:
        model.initialize(X=docs)
    plain, other = map(layers_of, models)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = other.predict(docs)
    found = [*first, *other.predict(docs)]  # the states of the first go on
    expected = [*plain.predict(docs), *plain.predict(docs)]
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, atol=1e-6)
