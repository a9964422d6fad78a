import re

import pytest
import thinc
from thinc.api import Config
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.compat import version

BASE = """
[paths]
train = null

[vars]
width = 96

[nlp]
lang = "en"
pipeline = ["tok2vec", "crf_ner"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.Tok2Vec.v2"

[components.tok2vec.model.embed]
@architectures = "spacy_deeper.Embed.v1"
width = ${vars.width}
static = null

[components.tok2vec.model.embed.char]
@layers = "spacy_deeper.Char.v1"
depth = 1
width = 25

[components.crf_ner]
factory = "crf_ner"

[training]
seed = 0
dropout = 0.1

[training.optimizer]
@optimizers = "Adam.v1"
L2 = 0.01
"""
EMBED = "[components]\n[components.tok2vec]\n[components.tok2vec.model]\n"
EMBED += "[components.tok2vec.model.embed]\n"
CHAR = "[components.tok2vec.model.embed.char]\n"


@pytest.fixture
def merge(tmp_path):
    def merge(*texts):
        paths = [tmp_path / f"{i}.cfg" for i in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        output = tmp_path / "new" / "out.cfg"
        result = CliRunner().invoke(app, ["merge-config", *map(str, [*paths, output])])
        assert result.exit_code == 0, result.stderr
        assert [path.name for path in output.parent.iterdir()] == ["out.cfg"]
        return Config().from_disk(output, interpolate=False)

    return merge


def test_leftmost_is_the_base(merge):
    config = merge(BASE, "[training]\nseed = 1\ndropout = 0.2", "[training]\nseed = 2")
    assert config["training"]["seed"] == 2
    assert config["training"]["dropout"] == 0.2
    assert config["training"]["optimizer"] == {"@optimizers": "Adam.v1", "L2": 0.01}


def test_variables_stay(merge):
    config = merge(BASE, "[vars]\nwidth = 8")
    assert config["components"]["tok2vec"]["model"]["embed"]["width"] == "${vars.width}"
    embed = config.interpolate()["components"]["tok2vec"]["model"]["embed"]
    assert embed["width"] == 8


def test_order_of_the_base(merge):
    config = merge(BASE, EMBED + CHAR + "width = 8\n[training]\npatience = 1\nseed = 1")
    base = Config().from_str(BASE)
    assert list(config) == list(base)
    embed = config["components"]["tok2vec"]["model"]["embed"]
    assert list(embed) == list(base["components"]["tok2vec"]["model"]["embed"])
    names = list(config["training"])
    assert [name for name in names if name != "patience"] == list(base["training"])
    assert [name for name in names if name != "optimizer"] == ["seed", "dropout", "patience"]


def test_same_function_is_updated(merge):
    config = merge(BASE, EMBED + CHAR + '@layers = "spacy_deeper.Char.v1"\nwidth = 8')
    char = config["components"]["tok2vec"]["model"]["embed"]["char"]
    assert char == {"@layers": "spacy_deeper.Char.v1", "depth": 1, "width": 8}
    char = merge(BASE, EMBED + CHAR + "width = 8")
    assert char["components"]["tok2vec"]["model"]["embed"]["char"]["depth"] == 1


@pytest.mark.parametrize("key", ["@layers", "@architectures"])
def test_other_function_replaces(merge, key):
    config = merge(BASE, EMBED + CHAR + f'{key} = "other.v1"\nrate = 2')
    assert config["components"]["tok2vec"]["model"]["embed"]["char"] == {key: "other.v1", "rate": 2}
    config = merge(BASE, "[training]\n[training.optimizer]\n@optimizers = 'x'".replace("'", '"'))
    assert config["training"]["optimizer"] == {"@optimizers": "x"}


def test_null_over_block_and_block_over_null(merge):
    off = EMBED + "char = null"
    on = EMBED + "[components.tok2vec.model.embed.static]\nkind = 1\n"
    embed = merge(BASE, off, on)["components"]["tok2vec"]["model"]["embed"]
    assert embed["char"] is None
    assert embed["static"] == {"kind": 1}
    again = merge(BASE, off, EMBED + CHAR + "width = 8")["components"]["tok2vec"]["model"]["embed"]
    assert again["char"] == {"width": 8}


def test_new_component(merge):
    text = (
        '[nlp]\npipeline = ["tok2vec", "rel"]\n[components]\n[components.rel]\nfactory = "r"\n[x]'
    )
    config = merge(BASE, text)
    assert config["components"]["rel"] == {"factory": "r"}
    assert config["x"] == {}


ORDERED = pytest.mark.skipif(
    version(thinc) < (8, 1), reason="the config of thinc before 8.1 takes sections in any order"
)


@pytest.mark.parametrize(
    ("base", "overlay", "code", "said"),
    [
        (BASE, None, "D150", "1.cfg: No such file"),
        (BASE, "seed = 1", "D151", "1.cfg"),
        ("[a]\n[a]", "", "D151", "0.cfg"),
        pytest.param(BASE, "[x.y]\n[x]", "D151", "must stand before", marks=ORDERED),
        (BASE, "[a]\nb = 1\nb = 2", "D151", "1.cfg"),
        (BASE, "[vars]\nwidht = 1", "D156", "[vars] widht"),
        (BASE, '[components.crf_nerr]\nfactory = "x"', "D156", "Is it to be crf_ner?"),
        (BASE, "[training]\nmax_epoch = 3", "D156", "Is it to be max_epochs?"),
        (BASE, "[trainig]\nmax_epochs = 3", "D156", "[trainig]. Is it to be training?"),
        (BASE, "[componets.crf_ner]\nthreshold = 0.6", "D156", "Is it to be components?"),
        (BASE, "[nlp]\nbatchsize = 3", "D156", "[nlp] batchsize. Is it to be batch_size?"),
        (BASE, "[training]\nseed = ${vars.none}", "D152", "vars.none"),
        (BASE, "[training]\nseed = ${vars", "D152", "1.cfg"),
        (BASE, '[training]\nseed = "${training.seed}"', "D152", "1.cfg"),
        ("[nlp]", "[components]", "D153", "[training]"),
        (BASE, "[nlp]\nlang = null", "D153", "'lang'"),
        (BASE, '[nlp]\npipeline = "crf_ner"', "D153", "'pipeline'"),
        (BASE, '[nlp]\npipeline = ["rel"]', "D153", "[components.rel]"),
        (BASE, "[components]\ncrf_ner = null", "D153", "[components.crf_ner]"),
    ],
)
@pytest.mark.parametrize("before", [None, b"an older output"])
def test_bad_configs(tmp_path, base, overlay, code, said, before):
    paths = [tmp_path / "0.cfg", tmp_path / "1.cfg"]
    for path, text in zip(paths, (base, overlay), strict=True):
        if text is not None:
            path.write_text(text)
    output = tmp_path / "out" / "a.cfg"
    output.parent.mkdir()
    if before:
        output.write_bytes(before)
    result = CliRunner().invoke(app, ["merge-config", *map(str, [*paths, output])])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert re.fullmatch(rf"\S+ \[{code}\] .*\n", result.stderr)
    assert said in result.stderr
    assert [path.name for path in output.parent.iterdir()] == (["a.cfg"] if before else [])
    assert not before or output.read_bytes() == before


def test_output_is_no_input(tmp_path):
    for name in ("0.cfg", "1.cfg"):
        (tmp_path / name).write_text(BASE)
    args = [str(tmp_path / name) for name in ("0.cfg", "1.cfg", "1.cfg")]
    result = CliRunner().invoke(app, ["merge-config", *args])
    assert result.exit_code == 1
    assert "[D154]" in result.stderr
    assert (tmp_path / "1.cfg").read_text() == BASE


def test_parent_sections_may_be_left_out(merge):
    config = merge(BASE, "[components.crf_ner]\nx = 1\n\n[training.optimizer]\nL2 = 1")
    assert config["components"]["crf_ner"]["x"] == 1
    assert config["training"]["optimizer"]["L2"] == 1


def test_parent_in_the_middle_may_be_left_out(merge):
    config = merge(BASE, "[training]\nseed = 1\n\n[training.optimizer.learn_rate]\nx = 1")
    assert config["training"]["seed"] == 1
    assert config["training"]["optimizer"]["learn_rate"] == {"x": 1}


def test_an_overlay_is_no_output(tmp_path):
    """The name of the output was forgotten: the last overlay must not be lost."""
    overlay = "[training]\nseed = 1\n"
    paths = [tmp_path / name for name in ("base.cfg", "one.cfg", "two.cfg")]
    for path, text in zip(paths, (BASE, overlay, overlay), strict=True):
        path.write_text(text)
    result = CliRunner().invoke(app, ["merge-config", *map(str, paths)])
    assert result.exit_code == 1
    assert "[D157]" in result.stderr
    assert paths[2].read_text() == overlay
