"""The benchmarks run, on tiny models: what they measure is for a quiet machine to say."""

import json
import sys
from functools import partial
from inspect import signature
from pathlib import Path

import numpy
import pytest
from spacy.util import registry
from thinc.api import Config

from benchmarks import annotate, memory
from benchmarks.__main__ import BENCHMARKS, command, main
from benchmarks.data import head_input, read_docs, texts_of, with_entities
from benchmarks.encoder import bare_encoder
from benchmarks.page import page
from benchmarks.pipelines import CONFIGS, fine_tuned, ours, paper_config, without_encoder
from benchmarks.report import Table
from benchmarks.setup import Setup
from benchmarks.targets import TARGETS, compared
from benchmarks.timing import Timer, exponent
from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.layers.relation_head import RelationHead

# The processes of the others take long to start.
NAMES = [name for name in BENCHMARKS if name not in ("memory", "annotate")]
# The tiny tokenizer has a word piece for each letter, and cuts many off.
cut_off = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def config(tiny_transformer: Path) -> Config:
    config = merge_configs(CONFIGS / "base.cfg", CONFIGS / "conll04.cfg")
    config["vars"] |= {"encoder": str(tiny_transformer), "width": 32}
    config["components"]["tok2vec"]["model"]["embed"]["contextual"] |= {"window": 8, "stride": 6}
    return config


@cut_off
def test_runs(config: Config, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("spacy_deeper.layers.pytorch.quantize.MIN_WEIGHTS", 100)
    config.to_disk(tmp_path / "config.cfg", interpolate=False)
    output = tmp_path / "out" / "benchmarks.json"
    options = ["--quick", "--threads", "1", "--config", str(tmp_path / "config.cfg")]
    main([*NAMES, *options, "--output", str(output)])
    results = json.loads(output.read_text())
    assert list(results) == NAMES
    printed, written = capsys.readouterr().out, output.with_suffix(".md").read_text()
    for result in results.values():
        assert {"cpu", "torch", "clock"} <= set(result["about"])
        assert result["what"] in written
        assert result["tables"]
        for table in result["tables"]:
            assert table["title"] in printed
            assert f"### {table['title']}" in written
            for row in table["rows"]:
                assert len(row) == len(table["columns"])
                named = zip(table["columns"][1:], row[1:], strict=True)
                numbers = {name: value for name, value in named if not isinstance(value, str)}
                assert numbers or row[0] == "exponent"
                if row[0] != "exponent":
                    assert all(n >= 0 for name, n in numbers.items() if "lost" not in name)


def test_an_unknown_benchmark() -> None:
    with pytest.raises(SystemExit):
        main(["speed"])


@pytest.mark.parametrize("kind", ["read", "learn", "relate", "learn_relations", "head"])
def test_memory(config: Config, tmp_path: Path, capsys, kind: str) -> None:
    ours(without_encoder(config), read_docs(None)[:10]).to_disk(tmp_path)
    memory.main(str(tmp_path), "", kind, "10", "20")
    loaded, *taken = json.loads(capsys.readouterr().out)
    assert loaded > 100
    assert len(taken) == 2
    assert min(taken) >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_memory_that_was_free_counts() -> None:
    def take(blocks: int) -> list[numpy.ndarray]:
        return [numpy.ones(2**13) for _ in range(blocks)]  # 64 KiB each, in the C library's heap

    left = take(1600)
    last = take(1)  # what is below it is kept for later
    del left
    for mib in (50, 20):
        assert memory.taken_mib(partial(take, mib * 16)) == pytest.approx(mib, rel=0.1)
    del last


@cut_off
def test_annotate(config: Config, tmp_path: Path, monkeypatch, capsys) -> None:
    setup = Setup(None, None, None, config, [1], Timer(1), quick=True)
    setup.frozen.to_disk(tmp_path / "model")
    alone = annotate.annotated
    monkeypatch.setattr(annotate, "annotated", lambda model, texts, _: alone(model, texts, 1))
    rows = annotate.speed(setup, tmp_path / "model").rows
    assert [row[0] for row in rows] == [1, 2]
    assert rows[0][1:3] == rows[1][1:3]
    assert rows[0][2] > 900
    assert rows[0][5] == 1
    assert all(row[7] == pytest.approx(row[4] / row[6]) for row in rows)
    annotate.main(str(tmp_path / "model"), str(tmp_path / "texts.txt"))
    main_process, _ = json.loads(capsys.readouterr().out)
    assert main_process > 100
    monkeypatch.setattr(annotate, "python", lambda *args: f"[100.0, {memory.MIB}]\n")
    rows = annotate.memory(setup, tmp_path / "model").rows
    assert rows == [[n, 100.0, memory.MIB, 100.0 + 2 * memory.MIB] for n in (20, 200)]
    lines = (tmp_path / "texts.txt").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 200


@cut_off
def test_the_bare_encoder_has_the_batches_of_the_pipeline(config: Config, monkeypatch) -> None:
    """The same word pieces in arrays of the same shapes."""
    nlp = ours(config, read_docs(None)[:10])
    nlp.batch_size = 4
    (frozen,) = frozen_layers(nlp)
    network = frozen.layers[0].get_ref("transformer").transformer
    found = []

    def noted(self, input_ids=None, attention_mask=None, **kwargs):
        found.append((input_ids.tolist(), attention_mask.tolist()))
        return forward(self, input_ids=input_ids, attention_mask=attention_mask, **kwargs)

    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", noted)
    texts = [" ".join("abcdefghij"[:n] * 2) for n in range(1, 11)]  # up to 3 windows
    list(nlp.pipe(texts))
    ours_saw = list(found)
    found.clear()
    bare_encoder(nlp, texts)()
    assert found == ours_saw
    assert len(found) >= 3


@cut_off
def test_what_is_trained_here_remembers_nothing(config: Config) -> None:
    (frozen,) = frozen_layers(ours(config, read_docs(None)[:10]))
    assert not frozen.cache.active


def test_the_windows_of_the_fine_tuned_encoder(config: Config) -> None:
    """They are those of the frozen one, which the paper's config leaves to the defaults."""
    layer = signature(registry.architectures.get("spacy_deeper.FrozenTransformer.v1")).parameters
    defaults = [layer[name].default for name in ("window", "stride")]
    for given, (window, stride) in ((config, (8, 6)), (paper_config(), defaults)):
        spans = fine_tuned(given)["components"]["transformer"]["model"]["get_spans"]
        assert (spans["window"], spans["stride"]) == (window, stride)


@pytest.mark.parametrize(
    "settings",
    [{}, {"distance": True}, {"context": "between", "scorer_hidden": 4}],
    ids=["paper", "no tokens", "all"],
)
def test_the_input_of_a_head(settings: dict) -> None:
    head = RelationHead(nI=5, nO=2, **settings)
    if "context" in settings:
        head.set_dim("nH", 3)
    head.initialize()
    (scores,) = head.predict(head_input(head, 4))
    assert scores.shape == (4, 4, 2)


def test_texts_and_entities_are_as_many_as_asked(config: Config) -> None:
    docs = read_docs(None)[:10]
    nlp = ours(without_encoder(config), docs)
    texts = texts_of(docs, 30, 100)
    assert len(texts) == 4
    assert all(28 <= len(nlp.make_doc(text)) <= 32 for text in texts)
    doc = with_entities(nlp, docs, 12)
    assert len(doc.ents) == 12
    assert {ent.label_ for ent in doc.ents} <= set(nlp.get_pipe("relation_scorer").entity_labels)


def test_functions_take_turns_after_one_call_each() -> None:
    now, calls = 0.0, []

    def call(name: str, seconds: float) -> None:
        nonlocal now
        calls.append(name)
        now += seconds if len(calls) != 3 else 100  # an outlier

    timer = Timer(3, lambda: now)
    found = timer.compare({"a": lambda: call("a", 2.0), "b": lambda: call("b", 3.0)})
    assert found == {"a": 2.0, "b": 3.0}
    assert calls == ["a", "b"] * 4


def test_exponent() -> None:
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)


def test_a_page_says_once_what_is_the_same() -> None:
    table = {"title": "T", "columns": ["what", "s"], "rows": [["a", 0.12345]], "note": "N"}
    about = {"python": "3", "cpu": "X"}
    same = {name: {"what": "W", "about": about, "tables": [table]} for name in "ab"}
    assert page(same, "x.json").count("- cpu: X") == 1
    other = {**same, "c": {"what": "W", "about": {**about, "cpu": "Y"}, "tables": [table]}}
    assert page(other, "x.json").count("- cpu: X") == 2
    assert page(other, "x.json").count("- cpu: Y") == 1
    assert page(other, "x.json").count("- python: 3") == 1
    assert "| a | 0.123 |" in Table(**table).markdown()
    assert "Targets" not in page(other, "x.json")


@pytest.mark.parametrize("name", ["", "-committee", "-zen4"])
def test_pages_are_those_of_their_results(name: str) -> None:
    path = CONFIGS.parent / "docs" / f"benchmarks{name}.json"
    results = json.loads(path.read_text(encoding="utf8"))
    assert path.with_suffix(".md").read_text(encoding="utf8") == page(results, path.name)


def test_targets() -> None:
    columns = ["entities", "head, ms"]
    tables = [
        Table("Relations by entities, 1 thread(s)", columns, [[100, 60.0], [200, 49.0]]),
        Table("Relations by entities, 2 thread(s)", columns, [[200, 51.0]]),
        Table("Relations by entities, 4 thread(s)", columns, [[100, 1.0]]),
        Table("Relations by entities, 8 thread(s)", ["entities"], [[200]]),  # of before the column
    ]
    rows = compared({"relation-head": tables}).rows
    assert [row[2:] for row in rows] == [["≤ 50", 49.0, "yes"], ["≤ 50", 51.0, "no"]]
    result = {"what": "W", "about": {}, "tables": [vars(table) for table in tables]}
    assert page({"relation-head": result}, "x.json").index("## Targets") > 0


def test_targets_are_of_benchmarks() -> None:
    assert {target.benchmark for target in TARGETS} <= set(BENCHMARKS)


def test_the_command_tells_nothing_of_the_machine() -> None:
    args = ["gru", "--model", "/home/me/model best", "--data", "corpus/dev.spacy"]
    shown = "python -m benchmarks gru --model 'model best' --data corpus/dev.spacy"
    assert command(args) == shown


def test_processor_time_is_that_of_one_thread(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gru", "--clock", "cpu", "--threads", "1", "2"])
    assert "adds the time of all threads up" in capsys.readouterr().err
