"""What the readers share."""

from pathlib import Path

from ...errors import Errors


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark."""
    if not path.is_file():
        raise ValueError(Errors.D100.format(path=path))
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(Errors.D103.format(path=path, problem=err)) from None
