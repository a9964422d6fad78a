"""What figures depend on beside settings and data: the machine and the versions of packages."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("spacy-deeper", "spacy", "thinc", "torch", "spacy-transformers", "transformers")


def machine() -> dict[str, str]:
    """RETURNS (Dict[str, str]): The processor and the operating system."""
    return {"cpu": cpu(), "system": platform.platform(), "python": platform.python_version()}


def cpu() -> str:
    """RETURNS (str): The processor's name; on Linux with its family and model.

    In a virtual machine the name alone may be that of many generations.
    """
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    found = {key.strip(): value.strip() for key, _, value in lines}
    name = found.get("model name", platform.processor())
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
