"""A trained pipeline as a package of its own, by `spacy package`."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from spacy.cli.package import get_third_party_dependencies


def test_names_spacy_deeper_as_its_requirement(trained):
    (requirement,) = get_third_party_dependencies(trained.config)
    assert requirement.startswith(f"spacy-deeper>={version('spacy-deeper')}")


@pytest.mark.slow
def test_wheel_loads_by_name(trained, trained_path, docs, tmp_path):
    command = [sys.executable, "-m", "spacy", "package", str(trained_path), str(tmp_path)]
    subprocess.run([*command, "--name", "tiny", "--build", "wheel"], check=True)
    (wheel,) = tmp_path.glob("*/dist/*.whl")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    code = f"import spacy; print(spacy.load('en_tiny')({docs[0].text!r})._.relations)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(trained(docs[0].text)._.relations)
