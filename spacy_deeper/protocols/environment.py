"""What figures depend on beside settings and data: the machine and the versions of packages."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("spacy-deeper", "spacy", "thinc", "torch", "spacy-transformers", "transformers")


def machine() -> dict[str, str]:
    """RETURNS (Dict[str, str]): The processor and the operating system."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1] for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0].strip() if names else cpu
    return {"cpu": cpu, "system": platform.platform(), "python": platform.python_version()}


def versions() -> dict[str, str]:
    """RETURNS (Dict[str, str]): The versions of the packages that scores depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
