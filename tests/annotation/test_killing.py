"""Runs that are killed, really, and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import spacy

from spacy_deeper.annotation import annotate, local
from spacy_deeper.annotation.annotator import Annotator, Settings
from spacy_deeper.annotation.chunks import Chunk
from spacy_deeper.annotation.inputs import Text

from . import saboteur  # noqa: F401 - the component

NAMES = ("out.jsonl", "out.jsonl.failures.jsonl")


def command(model: str, input: Path, output: Path, code: Path, *options: object) -> list[str]:
    start = [sys.executable, "-m", "spacy", "relations", "annotate", model]
    return [*start, *map(str, (input, output, "--code", code, *options))]


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_before_any_change_of_the_disk(rules: str, tmp_path: Path, monkeypatch) -> None:
    """Kill a run before the first change it makes to files, the second and so on, to the end."""
    nlp = spacy.load(rules)
    monkeypatch.setattr(Annotator, "__init__", lambda self, settings: fill(self, settings, nlp))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and the machine stays up
    # In this process, not one of its own, which would have to load the pipeline.
    alone = lambda chunk, settings: Annotator(settings)(chunk)  # noqa: E731
    monkeypatch.setattr(local, "run_alone", alone)
    path = tmp_path / "in.txt"
    path.write_text("Ann met Bo.\nFAIL\nOslo.\nBo met Ann.\n")

    def run(folder: Path) -> None:
        annotate(rules, path, folder / NAMES[0], chunk_size=2)

    run(tmp_path / "expected")
    expected = contents(tmp_path / "expected")
    for n in range(1, 1000):
        folder = tmp_path / str(n)
        if not is_killed(lambda folder=folder: run(folder), n, folder):
            break
        if all_but_lock(folder):
            assert contents(folder) == expected
            continue
        run(folder)
        assert contents(folder) == expected, f"killed before change {n}"
        assert sorted(at.name for at in folder.iterdir()) == sorted(NAMES), n
    assert n > 20
    assert contents(folder) == expected


def all_but_lock(folder: Path) -> bool:
    """Whether the run was killed when all was done, and only the empty work folder is left."""
    left = [at.name for at in (folder / "out.jsonl.work").glob("*")]
    return (folder / NAMES[0]).exists() and left in ([], [".lock"])


def fill(annotator: Annotator, settings, nlp) -> None:
    annotator.settings, annotator.nlp = settings, nlp


CHANGES = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}


def is_killed(run, n: int, folder: Path) -> bool:
    """Run in a process of its own that is killed before its nth change of files in a folder."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def kill(event: str, args: tuple) -> None:
            nonlocal count
            if event in CHANGES and str(args[0]).startswith(str(folder)):
                if event == "open" and args[1] is not None and not set(args[1]) & set("wa"):
                    return
                count += 1
                if count == n:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        try:
            run()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def test_killed_at_any_time_with_processes(rules: str, code: Path, tmp_path: Path) -> None:
    """Kill a run of two processes as often as it has done something, until there is no more."""
    path = tmp_path / "in.txt"
    texts = [f"Ann met Bo {i}. {'FAIL' * (i % 10 == 3)} SLOW" for i in range(60)]
    path.write_text("\n".join(texts) + "\n")
    annotate(rules, path, tmp_path / "expected" / NAMES[0], chunk_size=4, code=code)
    output = tmp_path / "found" / NAMES[0]
    done = output.with_name("out.jsonl.work") / "done"
    arguments = command(rules, path, output, code, "-n", 2, "--chunk-size", 4)
    kills = 0
    while True:
        before = count(done)
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and count(done) < before + 5:
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()
            process.communicate()
            break
        workers = children(process.pid)
        process.kill()
        process.communicate()
        kills += 1
        assert len(workers) >= 2
        wait_until(lambda workers=workers: not any(map(is_running, workers)))
    assert kills >= 2
    assert contents(tmp_path / "found") == contents(tmp_path / "expected")


def count(folder: Path) -> int:
    return len(list(folder.iterdir())) if folder.exists() else 0


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        pytest.skip("needs /proc")
    return [int(n) for at in tasks.iterdir() for n in (at / "children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_process_that_dies(rules: str, code: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(f"Ann.\nBo.\nOslo DIE {tmp_path / 'dead'}\nAnn.\n")
    arguments = command(rules, path, tmp_path / NAMES[0], code, "-n", 2, "--chunk-size", 1)
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[D415]" in done.stderr
    assert "SIGKILL" in done.stderr
    assert f"{path}, line 3 to {path}, line 3" in done.stderr
    assert "Traceback" not in done.stderr
    # What was done stays.
    kept = count(tmp_path / "out.jsonl.work" / "done")
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("Going on" in done.stderr) == bool(kept)
    assert len((tmp_path / NAMES[0]).read_text().splitlines()) == 4


@pytest.mark.parametrize("n_process", [1, 2])
def test_documents_that_kill_each_time(
    rules: str, code: Path, tmp_path: Path, n_process: int
) -> None:
    """The same command ends at last, and only they are among the failures."""
    path = tmp_path / "in.txt"
    path.write_text("Ann.\nBo DIE\nOslo.\nAnn, FAIL\n\nBo DIE\nAnn met Bo.\n")
    arguments = command(rules, path, tmp_path / NAMES[0], code, "-n", n_process)
    first = subprocess.run(arguments, capture_output=True, text=True)
    assert first.returncode == (-signal.SIGKILL if n_process == 1 else 1)
    assert ("[D415]" in first.stderr) == (n_process > 1)
    again = subprocess.run(arguments, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    done, failed = (list(map(json.loads, content.splitlines())) for content in contents(tmp_path))
    assert [record["id"] for record in done] == [0, 2, 6]
    assert [(row["id"], row["text"], row["reason"]) for row in failed] == [
        (1, "Bo DIE", "the process died (signal SIGKILL)"),
        (3, "Ann, FAIL", "RuntimeError: told to fail"),
        (4, None, "the text is empty"),
        (5, "Bo DIE", "the process died (signal SIGKILL)"),
    ]


def test_a_chunk_that_is_not_to_blame(rules: str, code: Path, tmp_path: Path) -> None:
    """A process that is killed by hand, at whatever document, costs none."""
    texts = [f"Ann {i}." for i in range(4)]
    texts[2] += f" DIE {tmp_path / 'dead'}"
    chunk = Chunk(0, [Text(i, i, text, {}, "a", i + 1) for i, text in enumerate(texts)])
    settings = Settings(rules, "jsonl", 2, code=str(code))
    one_by_one = local.run_alone(chunk, settings)  # the whole dies, each alone does not
    assert one_by_one == local.run_alone(chunk, settings)
    assert one_by_one.counts["records"] == 4
    assert not one_by_one.failures


def test_a_process_that_dies_without_a_document(rules: str, tmp_path: Path) -> None:
    """It is no document's fault: the usual way tells what is wrong."""
    dying = tmp_path / "dying.py"
    dying.write_text("import os\nos._exit(3)\n")
    chunk = Chunk(0, [Text(0, 0, "Ann.", {}, "a", 1)])
    assert local.run_alone(chunk, Settings(rules, "jsonl", 2, code=str(dying))) is None


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_what_is_done_outlives_an_error(
    rules: str, code: Path, tmp_path: Path, monkeypatch, error: type[Exception]
) -> None:
    path, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    path.write_text("".join(f"Ann met Bo {i}.\n" for i in range(9)))
    once = Annotator.__call__

    def fail_at(number):
        def call(self, chunk):
            if chunk.number == number:
                raise error("told to")
            return once(self, chunk)

        return call

    for number, left in ((0, False), (2, True)):
        with monkeypatch.context() as patch:
            patch.setattr(Annotator, "__call__", fail_at(number))
            with pytest.raises(error, match="told to"):
                annotate(rules, path, output, chunk_size=3, code=code)
        assert output.with_name("out.jsonl.work").exists() == left
    assert count(output.with_name("out.jsonl.work") / "done") == 2
    assert annotate(rules, path, output, chunk_size=3, code=code).records == 9


def test_a_pipeline_that_can_not_be_loaded(rules: str, tmp_path: Path) -> None:
    """Its component is in --code, which is left out: the processes tell."""
    (tmp_path / "in.txt").write_text("Ann.\n")
    start = [sys.executable, "-m", "spacy", "relations", "annotate", rules]
    arguments = [*start, str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl"), "-n", "2"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[D160]" in done.stderr
    assert "saboteur" in done.stderr
    assert "name their file with --code" in done.stderr
    assert [at.name for at in tmp_path.iterdir()] == ["in.txt"]
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize("n_process", [1, 2])
def test_interrupted_and_continued(rules: str, code: Path, tmp_path: Path, n_process: int) -> None:
    """Ctrl-C: it says that the command can be given again, and then where it goes on."""
    path = tmp_path / "in.txt"
    path.write_text("".join(f"Ann met Bo {i}. SLOW\n" for i in range(60)))
    options = ("-n", n_process, "--chunk-size", 4)
    arguments = command(rules, path, tmp_path / NAMES[0], code, *options)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # In the background of a shell, where these tests may run, Ctrl-C does nothing.
    usual = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(arguments, **pipes, start_new_session=True, preexec_fn=usual)
    done = tmp_path / "out.jsonl.work" / "done"
    wait_until(lambda: count(done) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes
    stderr = process.communicate()[1]
    assert process.returncode == 130, stderr
    assert "the same command goes on" in stderr
    assert "Traceback" not in stderr
    n_done = sum(len(at.read_text().splitlines()) for at in (done.parent / "parts").iterdir())
    assert 8 <= n_done < 60
    again = subprocess.run(arguments, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"Going on: {n_done} of 60 documents are done already" in again.stderr
    assert len((tmp_path / NAMES[0]).read_text().splitlines()) == 60
