"""The same on Ray, by its own processes: nothing is simulated."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from .test_killing import NAMES, command, contents

pytest.importorskip("ray", reason="needs the extra 'ray'")


CLUSTER = """
import ray
print(ray.init("local", num_cpus=2, log_to_driver=False).address_info["gcs_address"], flush=True)
input()
"""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray lets nobody else in: these clusters have a token of their own.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    # A busy machine is no failure.
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_agent_register_timeout_ms": "600000",
}


@pytest.fixture(scope="module", autouse=True)
def _environment():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def address(_environment):
    """A cluster that is there already, of two cores of this machine."""
    start = [sys.executable, "-c", CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(start, text=True, **pipes) as process:
        address = process.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address
        process.stdin.close()


def run(arguments: list[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_both(model: str, path: Path, code: Path, folder: Path, *options: object) -> None:
    """Annotate with both engines, and compare the outputs."""
    ray = ("--engine", "ray", "-n", 2)
    for name, engine in (("local", ()), ("ray", ray)):
        output = folder / name / NAMES[0]
        run(command(model, path, output, code, "--threads", 1, *options, *engine))
    assert contents(folder / "ray") == contents(folder / "local")


@pytest.mark.slow
def test_an_actor_that_dies(address: str, rules: str, code: Path, tmp_path: Path) -> None:
    """Its chunk is tried again, and nothing is there twice; a failure is one, as with processes."""
    path = tmp_path / "in.txt"
    dying = f"Bo DIE {tmp_path / 'dead'}"
    path.write_text("\n".join(["Ann met Bo.", "FAIL"] * 20 + [dying] + ["Oslo."] * 20) + "\n")
    arguments = command(rules, path, tmp_path / "ray" / NAMES[0], code, "--chunk-size", 3)
    run([*arguments, "--engine", "ray", "-n", "2", "--address", address])
    assert (tmp_path / "dead").exists()
    run(command(rules, path, tmp_path / "local" / NAMES[0], code, "--chunk-size", 3))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


@pytest.mark.slow
def test_a_document_that_kills_each_time(
    address: str, rules: str, code: Path, tmp_path: Path
) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Ann.\nBo DIE\nOslo.\n")
    arguments = command(rules, path, tmp_path / NAMES[0], code, "--chunk-size", 1)
    arguments += ["--engine", "ray", "--address", address]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[D415]" in done.stderr
    assert f"{path}, line 2 to {path}, line 2" in done.stderr
    run(arguments)
    annotated, failed = contents(tmp_path)
    assert len(annotated.splitlines()) == 2
    assert b"the process died (signal SIGKILL)" in failed


@pytest.mark.slow
def test_both_engines_write_the_same(joint: str, texts, code: Path, tmp_path: Path) -> None:
    """5,000 documents by a model that computes."""
    path = tmp_path / "in.txt"
    n = len(texts)
    lines = [f"{texts[i % n]} {i}" if i % 97 else "" for i in range(5000)]
    path.write_text("\n".join(lines) + "\n")
    run_both(joint, path, code, tmp_path)
    lines = (tmp_path / "ray" / NAMES[0]).read_text().splitlines()
    failed = (tmp_path / "ray" / NAMES[1]).read_text().splitlines()
    assert len(lines) + len(failed) == 5000
    assert len(failed) == 52
    assert sum('"head"' in line for line in lines) > 1000
