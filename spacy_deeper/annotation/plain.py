"""Values as JSON, msgpack and Arrow all can hold them."""

from typing import Any

MAX_INT = 2**63
#: Of lists and mappings in each other. JSON may have more, which msgpack and pickle can't hold.
MAX_DEPTH = 100


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Turn a value of a JSON, CSV or Parquet file into one that every output can hold.

    Dates, decimals, bytes and integers of more than 64 bits become texts, a NaN becomes None, and
    what is no valid Unicode is escaped.

    RAISES (RecursionError): If the value is nested more deeply than `depth`.
    """
    if not depth and isinstance(value, dict | list | tuple):
        raise RecursionError
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, str):
        return value if is_unicode(value) else escaped(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and -MAX_INT <= value < MAX_INT:
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return plain(str(value))


def is_unicode(text: str) -> bool:
    """Whether a text has no surrogates, which stand for bytes that are no UTF-8, or for nothing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    """Make valid Unicode of a text: a byte that is no UTF-8 becomes, for example, \\xff."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode()
