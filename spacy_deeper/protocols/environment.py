"""What figures depend on beside settings and data: the machine and the versions of packages."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("spacy-deeper", "spacy", "thinc", "torch", "spacy-transformers", "transformers")


def machine() -> dict[str, str]:
    """RETURNS (Dict[str, str]): The processor and the operating system."""
    return {"cpu": cpu(), "system": platform.platform(), "python": platform.python_version()}


def cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    """RETURNS (str): The processor's name; on Linux, if known, with its family and model.

    In a virtual machine the name alone may be that of many generations.
    """
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    found: dict[str, str] = {}
    for key, _, value in lines:
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found and "model" in found:
        name += f" (family {found['cpu family']}, model {found['model']})"
    return name


def versions() -> dict[str, str]:
    """RETURNS (Dict[str, str]): The versions of the packages that scores depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
