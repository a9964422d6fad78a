"""What figures depend on."""

import platform
from pathlib import Path

import pytest

from spacy_deeper.protocols.environment import cpu

X86 = "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nmodel name\t: last\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (X86, "AMD EPYC (family 25, model 17)"),
        (ARM, platform.processor() or platform.machine()),
        ("", platform.processor() or platform.machine()),
        (None, platform.processor() or platform.machine()),
    ],
    ids=["x86", "ARM", "empty", "none"],
)
def test_the_name_of_a_processor(tmp_path: Path, text: str | None, found: str) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    assert cpu(path) == found
    assert found
