"""Settings of a config by their paths: `{"components.relation_scorer.threshold": 0.5}`."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import srsly
from thinc.api import Config

from ..errors import Errors


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON file that is an object with something in it."""
    try:
        entries: Any = srsly.json_loads(path.read_text("utf-8"))
    except OSError as err:
        raise ValueError(Errors.D321.format(path=path, problem=err.strerror)) from None
    except ValueError as err:  # also of what is not UTF-8
        raise ValueError(Errors.D321.format(path=path, problem=f"broken JSON ({err})")) from None
    if not isinstance(entries, dict) or not entries:
        problem = "it must be an object with at least one entry"
        raise ValueError(Errors.D321.format(path=path, problem=problem))
    return entries


def check_known(path: Path, settings: Iterable[str], config: Config) -> None:
    """Complain of settings, found in the file at `path`, that a config has not."""
    known = all_settings(config)
    for key in settings:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" Is it to be {close[0]}?" if close else ""
            raise ValueError(Errors.D322.format(path=path, key=key, hint=hint))


def all_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return all settings of a config, which are not sections, by their paths."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found.update(all_settings(value, f"{prefix}{key}."))
        elif prefix:
            found[prefix + key] = value
    return found


def with_settings(config: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """Return a config, not interpolated, in which settings take the place of its own.

    spaCy's overrides can't: those of spaCy 3.3 refuse a value where the config has a section. A
    setting in a section that the config has not is an error.
    """
    changed: dict[str, Any] = deepcopy(dict(config))
    for path, value in settings.items():
        *sections, name = path.split(".")
        inner: Any = changed
        for section in sections:
            inner = inner.get(section)
            if not isinstance(inner, dict):
                raise ValueError(Errors.D322.format(path="Run.settings", key=path, hint=""))
        inner[name] = value
    return Config(changed, is_interpolated=False)


def overlay(settings: Mapping[str, Any]) -> str:
    """Write settings as a config to merge over another one."""
    sections: dict[str, list[str]] = {}
    for path, value in settings.items():
        section, _, key = path.rpartition(".")
        sections.setdefault(section, []).append(f"{key} = {srsly.json_dumps(value)}\n")
    return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())
