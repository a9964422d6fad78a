"""Files: which of a folder are meant, and whether two are the same."""

import hashlib
from pathlib import Path


def visible_files(folder: Path) -> list[Path]:
    """RETURNS (list[Path]): The files in a folder and all folders in it, but for hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def sha256sum(path: Path) -> str:
    """RETURNS (str): The SHA-256 of a file's content, however large it is.

    RAISES (OSError): If it can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
