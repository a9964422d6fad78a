"""The benchmarks run, on tiny models: what they measure is for a quiet machine to say."""

import json
from pathlib import Path

import pytest
from thinc.api import Config

from benchmarks import memory
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.data import read_docs, texts_of, with_entities
from benchmarks.pipelines import CONFIGS, ours, without_encoder
from benchmarks.report import Table, page
from benchmarks.timing import Timer, exponent
from spacy_deeper.cli.merge_config import merge_configs

NAMES = [name for name in BENCHMARKS if name != "memory"]  # its processes take long to start


@pytest.fixture(scope="module")
def config(tiny_transformer: Path) -> Config:
    config = merge_configs(CONFIGS / "base.cfg", CONFIGS / "conll04.cfg")
    config["vars"] |= {"encoder": str(tiny_transformer), "width": 32}
    config["components"]["tok2vec"]["model"]["embed"]["contextual"] |= {"window": 8, "stride": 6}
    return config


@pytest.mark.filterwarnings("ignore")  # of word pieces that the tiny tokenizer cuts off
def test_runs(config: Config, tmp_path: Path, capsys) -> None:
    config.to_disk(tmp_path / "config.cfg", interpolate=False)
    output = tmp_path / "out" / "benchmarks.json"
    options = ["--quick", "--threads", "1", "--config", str(tmp_path / "config.cfg")]
    main([*NAMES, *options, "--output", str(output)])
    results = json.loads(output.read_text())
    assert list(results) == NAMES
    printed, written = capsys.readouterr().out, output.with_suffix(".md").read_text()
    for result in results.values():
        assert {"cpu", "torch", "clock"} <= set(result["about"])
        assert result["tables"]
        for table in result["tables"]:
            assert table["title"] in printed
            assert f"### {table['title']}" in written
            for row in table["rows"]:
                assert len(row) == len(table["columns"])
                numbers = [value for value in row[1:] if not isinstance(value, str)]
                assert numbers or row[0] == "exponent"
                if row[0] != "exponent":
                    assert all(value >= 0 for value in numbers)


def test_an_unknown_benchmark() -> None:
    with pytest.raises(SystemExit):
        main(["speed"])


@pytest.mark.parametrize("kind", ["read", "learn", "relate", "learn_relations", "head"])
def test_memory(config: Config, tmp_path: Path, capsys, kind: str) -> None:
    ours(without_encoder(config), read_docs(None)[:10]).to_disk(tmp_path)
    memory.main(str(tmp_path), "", kind, "10", "20")
    before, *peaks = json.loads(capsys.readouterr().out)
    # The system takes pages back now and then.
    assert 0 < before < peaks[0] + 1 < peaks[1] + 2


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
    same = {name: {"about": {"cpu": "X"}, "tables": [table]} for name in "ab"}
    assert page(same, "x.json").count("- cpu: X") == 1
    other = {**same, "c": {"about": {"cpu": "Y"}, "tables": [table]}}
    assert page(other, "x.json").count("- cpu: X") == 2
    assert "| a | 0.123 |" in Table(**table).markdown()
