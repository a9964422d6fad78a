import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from spacy_deeper.protocols import pool
from spacy_deeper.protocols.folder import RESULTS, claimed
from spacy_deeper.protocols.pool import execute, run_all
from spacy_deeper.protocols.results import run_protocol
from spacy_deeper.protocols.runs import Run

FAKE = [sys.executable, "-S", str(Path(__file__).with_name("fake_worker.py"))]
OPTIONS = {"config": "", "select": "last", "keep_models": False, "gpu_id": -1}


@pytest.fixture(autouse=True)
def _fake_workers(monkeypatch):
    monkeypatch.setattr(pool, "WORKER", FAKE)
    monkeypatch.setattr(pool, "INTERVAL", 0.02)


@pytest.fixture
def make_runs(tmp_path):
    """Make runs of the given names and settings."""
    for name in ("train", "test"):
        (tmp_path / f"{name}.spacy").write_text(name)

    def make(**settings):
        files = (tmp_path / "train.spacy", tmp_path / "test.spacy")
        return [Run(name, "Row", *files, settings=changes) for name, changes in settings.items()]

    return make


def started(folder):
    return sorted(path.parent.name for path in folder.glob("*/started"))


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "(zombie)" in status.read_text())


def eventually(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_results_are_in_the_order_of_the_runs(tmp_path, make_runs):
    runs = make_runs(slow={"wait_for": str(tmp_path / "go")}, fast={})
    seen = []

    def see(results):
        seen.extend(results)
        (tmp_path / "go").touch()

    results = run_all(runs, tmp_path, OPTIONS, 2, on_results=see)
    assert [result["name"] for result in results] == ["slow", "fast"]
    assert [result["name"] for result in seen] == ["fast", "slow"]


def test_finished_runs_are_skipped(tmp_path, make_runs):
    runs = make_runs(a={}, b={})
    first = run_all(runs[:1], tmp_path, OPTIONS)
    (tmp_path / "a" / "started").unlink()
    seen = []
    both = run_all(
        runs,
        tmp_path,
        OPTIONS,
        on_results=lambda new: seen.extend(result["name"] for result in new),
    )
    assert started(tmp_path) == ["b"]
    assert both[0] == first[0]
    assert seen == ["a", "b"]


@pytest.mark.parametrize("what", ["config", "select", "seed", "settings", "train", "test", "dev"])
def test_other_runs_are_refused(tmp_path, make_runs, what):
    (run,) = make_runs(a={})
    run_all([run], tmp_path, OPTIONS)
    (tmp_path / "a" / "started").unlink()
    options = OPTIONS
    if what in OPTIONS:
        options = {**OPTIONS, what: "another"}
    elif what in ("train", "test"):
        getattr(run, what).write_text("other data")
    else:
        run = replace(run, **{what: {"seed": 1, "settings": {"vars.x": 1}, "dev": run.test}[what]})
    with pytest.raises(ValueError, match="D300"):
        run_all([run], tmp_path, options)
    assert started(tmp_path) == []


def test_a_finished_run_that_began_with_another_pipeline(tmp_path, make_runs):
    """Each seed begins with the weights of a folder of its own."""
    config = """
    [paths]
    start = "START/seed-${training.seed}"

    [initialize]

    [initialize.after_init]
    @callbacks = "spacy_deeper.start_from.v1"
    path = ${paths.start}
    """
    options = {**OPTIONS, "config": config.replace("START", str(tmp_path))}
    for seed in (0, 1):
        (tmp_path / f"seed-{seed}" / "tok2vec").mkdir(parents=True)
        (tmp_path / f"seed-{seed}" / "tok2vec" / "model").write_text("weights")
    (run,) = make_runs(one={})
    before = run.fingerprint(options)
    assert run.fingerprint(options) == before
    (tmp_path / "seed-1" / "tok2vec" / "model").write_text("other weights")
    assert run.fingerprint(options) == before
    (tmp_path / "seed-0" / "tok2vec" / "model").write_text("other weights")
    assert run.fingerprint(options) != before
    assert run.start("[initialize]\nafter_init = null\n") is None  # as spaCy writes it
    elsewhere = replace(run, settings={"paths.start": str(tmp_path / "seed-1")})
    assert elsewhere.start(options["config"]) == tmp_path / "seed-1"
    fresh = replace(run, settings={"initialize.after_init": None})
    assert fresh.start(options["config"]) is None
    callback = {"@callbacks": "spacy_deeper.start_from.v1", "path": "there"}
    other = replace(run, settings={"initialize.after_init": callback})
    assert other.start("[initialize]\nafter_init = null\n") == Path("there")


def test_a_refused_run_leaves_the_results_alone(tmp_path, make_runs):
    runs = make_runs(a={}, b={})
    run_protocol("test", runs, tmp_path, OPTIONS, about={})
    before = (tmp_path / RESULTS).read_bytes()
    runs[1] = replace(runs[1], seed=1)
    with pytest.raises(ValueError, match=r"D300.*b is another one"):
        run_protocol("test", runs, tmp_path, OPTIONS, about={})
    assert (tmp_path / RESULTS).read_bytes() == before


def test_same_data_elsewhere_is_the_same_run(tmp_path, make_runs):
    (run,) = make_runs(a={})
    run_all([run], tmp_path, OPTIONS)
    moved = run.train.rename(tmp_path / "moved.spacy")
    (tmp_path / "a" / "started").unlink()
    run_all([replace(run, train=moved)], tmp_path, OPTIONS)
    assert started(tmp_path) == []


def test_a_failing_run_does_not_stop_the_others(tmp_path, make_runs):
    runs = make_runs(a={"fail": "ValueError: no luck"}, b={}, c={"fail": "x"}, d={})
    seen = []
    with pytest.raises(ValueError, match="D302") as info:
        run_all(
            runs,
            tmp_path,
            OPTIONS,
            on_results=lambda new: seen.extend(result["name"] for result in new),
        )
    assert seen == ["b", "d"]
    assert "2 of 4 runs failed" in str(info.value)
    assert f"{tmp_path / 'a' / 'log.txt'}: ValueError: no luck" in str(info.value)
    # The next time, they are tried again.
    runs = [replace(run, settings={}) if "fail" in run.settings else run for run in runs]
    assert len(run_all(runs, tmp_path, OPTIONS)) == 4


def test_a_killed_run_says_so(tmp_path, make_runs):
    with pytest.raises(ValueError, match=r"D302.*killed by SIGKILL"):
        run_all(make_runs(a={"kill": int(signal.SIGKILL)}), tmp_path, OPTIONS)


def test_a_run_that_can_not_be_started(tmp_path, make_runs):
    (tmp_path / "a").write_text("where a folder should be")
    with pytest.raises(ValueError, match="D302"):
        run_all(make_runs(a={}, b={}), tmp_path, OPTIONS)
    assert started(tmp_path) == ["b"]


def test_threads_are_shared_among_runs_at_a_time(tmp_path, make_runs, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    run_all(make_runs(a={}), tmp_path, OPTIONS, n_process=64)
    run_all(make_runs(b={}, c={}), tmp_path, OPTIONS, n_process=64)
    # The last ones of a protocol that was stopped have as many as the first ones.
    run_all(make_runs(b={}, c={}, d={}, e={}), tmp_path, OPTIONS, n_process=4)
    threads = {run: (tmp_path / run / "started").read_text().split()[1] for run in "abcde"}
    assert threads == {"a": "8", "b": "4", "c": "4", "d": "2", "e": "2"}


def pids(folder, *names):
    files = [folder / name / "started" for name in names]
    assert eventually(lambda: all(path.exists() and path.read_text() for path in files))
    return [int(path.read_text().split()[0]) for path in files]


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "3"])
def test_what_is_no_result_is_refused(tmp_path, make_runs, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "result.json").write_text(content)
    with pytest.raises(ValueError, match="D300"):
        run_all(make_runs(a={}), tmp_path, OPTIONS)


@pytest.fixture
def ctrl_c():
    """What a shell starts in the background ignores it, also these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_runs(ctrl_c, tmp_path, make_runs):
    never = {"wait_for": "/nowhere"}
    found = []

    def interrupt():
        try:
            found.extend(pids(tmp_path, "a", "b"))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_all(make_runs(a=never, b=never, c=never), tmp_path, OPTIONS, 2)
    assert len(found) == 2
    assert not any(is_alive(pid) for pid in found)
    assert started(tmp_path) == ["a", "b"]


def test_giving_up_on_a_run_ends_it(tmp_path, make_runs):
    class Pruned(Exception):
        pass

    def prune(progress):
        raise Pruned

    (run,) = make_runs(a={"wait_for": "/nowhere"})
    with pytest.raises(Pruned):
        execute(run, tmp_path, OPTIONS, 1, prune)
    assert not is_alive(*pids(tmp_path, "a"))


PARENT = """
import sys
from pathlib import Path
from spacy_deeper.protocols import pool
pool.WORKER = [sys.executable, "-c", sys.argv[2]]
with pool._process(Path(sys.argv[1]), None, 1) as process:
    print(process.pid, flush=True)
    process.wait()
"""
CHILD = """
import time
from spacy_deeper.protocols.worker import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(600)
"""


def test_a_killed_protocol_leaves_no_process(tmp_path):
    command = [sys.executable, "-c", PARENT, str(tmp_path), CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "ready\n"
        assert is_alive(child)
        parent.kill()
    assert eventually(lambda: not is_alive(child))


# The results file


def test_results_are_complete_after_each_run(tmp_path, make_runs, monkeypatch):
    seen = []

    def read(result):
        seen.append(json.loads((tmp_path / RESULTS).read_text()))
        (tmp_path / "go").touch()

    monkeypatch.setattr("spacy_deeper.protocols.results.print_result", read)
    runs = make_runs(a={"wait_for": str(tmp_path / "go")}, b={}, c={"fail": "x"})
    with pytest.raises(ValueError, match="D302"):
        run_protocol("test", runs, tmp_path, OPTIONS, 2, about={"folds": 3}, silent=False)
    assert [[run["name"] for run in results["runs"]] for results in seen] == [["b"], ["a", "b"]]
    for results in seen:
        assert results["protocol"] == "test"
        assert results["n_runs"] == 3
        assert results["folds"] == 3
        assert results["options"] == OPTIONS
        assert set(results["data"]) == {str(runs[0].train), str(runs[0].test)}
    assert json.loads((tmp_path / RESULTS).read_text()) == seen[-1]


def test_dev_data_are_in_the_results(tmp_path, make_runs):
    (run,) = make_runs(a={})
    dev = tmp_path / "dev.spacy"
    dev.write_text("dev")
    results = run_protocol("test", [replace(run, dev=dev)], tmp_path, OPTIONS, about={})
    assert str(dev) in results["data"]


# The folder


def test_one_protocol_at_a_time(tmp_path):
    output = tmp_path / "new" / "output"
    with claimed(output, {}):
        with pytest.raises(ValueError, match="D310"), claimed(output, {}):
            pass
        with claimed(tmp_path / "other", {}):
            pass
    with claimed(output, {}):
        pass


def test_results_of_another_protocol_are_not_replaced(tmp_path):
    (tmp_path / RESULTS).write_text('{"protocol": "folds", "split_seed": 1}')
    with claimed(tmp_path, {"protocol": "folds", "split_seed": 1}):
        pass
    with (
        pytest.raises(ValueError, match=r"D309.*protocol is folds, and now seeds"),
        claimed(tmp_path, {"protocol": "seeds"}),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"D309.*split_seed is 1, and now 0"),
        claimed(tmp_path, {"protocol": "folds", "split_seed": 0}),
    ):
        pass


@pytest.mark.parametrize("content", ["[1]", "{", ""])
def test_files_of_others_are_not_replaced(tmp_path, content):
    (tmp_path / RESULTS).write_text(content)
    with pytest.raises(ValueError, match="D309"), claimed(tmp_path, {"protocol": "seeds"}):
        pass


def test_no_folder_can_be_there(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="D106"), claimed(tmp_path / "file" / "output", {}):
        pass
