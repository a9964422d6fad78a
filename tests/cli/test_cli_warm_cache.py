from pathlib import Path

import pytest
import spacy
from spacy.training import Corpus
from thinc.api import Config
from typer.testing import CliRunner

from spacy_deeper.cli import app
from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.training.callbacks import use_caches
from spacy_deeper.training.convert import convert

CONFIG = """
[paths]
cache = null

[nlp]
lang = "en"
pipeline = ["tok2vec"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy_deeper.FrozenTransformer.v1"
name = "NAME"
window = 20
stride = 10
cache_dir = ${paths.cache}

[components.tok2vec.model.pooling]
@layers = "reduce_mean.v1"
"""


@pytest.fixture
def config(tmp_path: Path, tiny_transformer: Path) -> Path:
    path = tmp_path / "config.cfg"
    path.write_text(CONFIG.replace("NAME", str(tiny_transformer)))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("[Ann](Per) left.\n\nNothing here.\n\nNothing here.\n")
    return convert(tmp_path / "a.txt", tmp_path).path


def run(*args):
    return CliRunner().invoke(app, ["warm-cache", *map(str, args)])


def arrays(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def test_a_training_finds_all_texts(config: Path, data: Path, tmp_path: Path) -> None:
    result = run(config, data, data, "--paths.cache", tmp_path / "cache")
    assert result.exit_code == 0, result.output
    assert f"6 texts are in the cache {tmp_path / 'cache'}" in result.stdout
    assert len(arrays(tmp_path / "cache")) == 2  # distinct ones
    overrides = {"paths.cache": str(tmp_path / "cache")}
    nlp = spacy.util.load_model_from_config(
        Config().from_disk(config, overrides=overrides), auto_fill=True
    )
    docs = [example.predicted for example in Corpus(data)(nlp)]
    (layer,) = frozen_layers(nlp)
    layer.initialize()
    expected = layer.predict(docs)
    use_caches(nlp)
    layer.layers[0]._func = None  # it is not run
    for rows, wanted in zip(layer.predict(docs), expected, strict=True):
        assert rows == pytest.approx(wanted, abs=1e-5)


def test_texts_that_are_there_are_not_run_again(config: Path, data: Path, tmp_path: Path) -> None:
    times = []
    for _ in range(2):
        assert run(config, data, f"--paths.cache={tmp_path / 'cache'}").exit_code == 0
        times.append([path.stat().st_mtime_ns for path in arrays(tmp_path / "cache")])
    assert times[0] == times[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "[D263]"),
        ({"components.tok2vec.model.name": "no/such-model", "paths.cache": "x"}, "[D207]"),
        ({"components.tok2vec.model.window": 100, "paths.cache": "x"}, "[D262]"),
        ({"components.tok2vec.model.windows": 100, "paths.cache": "x"}, "[D151]"),
        ({"paths.cache": "config.cfg"}, "[D261]"),
    ],
)
def test_errors_are_one_line(config, data, change, said, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [text for key, value in change.items() for text in (f"--{key}", value)]
    result = run(config, data, *overrides)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_files(config: Path, data: Path, tmp_path: Path) -> None:
    assert "[D150]" in run(tmp_path / "no.cfg", data).stderr
    result = run(config, tmp_path / "no.spacy", "--paths.cache", tmp_path / "cache")
    assert "[D161]" in result.stderr
