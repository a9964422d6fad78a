"""What a search may change in a config: a JSON file such as `configs/search.json`."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import srsly
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from thinc.api import Config

from ..errors import Errors

NUMBERS = {"int": IntDistribution, "float": FloatDistribution}
NUMBER_TYPES: dict[str, Any] = {"int": int, "float": (int, float)}
#: What to draw each setting from.
Space: TypeAlias = Mapping[str, Mapping[str, Any]]


def read_space(path: Path, config: Config) -> Space:
    """Read a space, and check that the config has its settings and that they can be drawn.

    path (Path): A JSON file: `{"vars.re_depth": {"type": "int", "low": 0, "high": 3}, ...}`.
    config (Config): The config whose settings are to be changed.
    RETURNS (Space): What is in the file.
    """
    try:
        entries: Any = srsly.json_loads(path.read_text("utf-8"))
    except OSError as err:
        raise ValueError(Errors.D321.format(path=path, problem=err.strerror)) from None
    except ValueError as err:  # also of what is not UTF-8
        raise ValueError(Errors.D321.format(path=path, problem=f"broken JSON ({err})")) from None
    if not isinstance(entries, dict) or not entries:
        problem = "it must be an object with at least one setting"
        raise ValueError(Errors.D321.format(path=path, problem=problem))
    known = _settings(config)
    for key in entries:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" Is it to be {close[0]}?" if close else ""
            raise ValueError(Errors.D322.format(path=path, key=key, hint=hint))
    for key, entry in entries.items():
        try:
            distribution(entry)
        except ValueError as err:
            raise ValueError(Errors.D323.format(path=path, key=key, problem=err)) from None
    return dict(entries)


def config_as_point(config: Config, space: Space) -> dict[str, Any] | None:
    """Return the config's own settings as a point of the space, or None if they are not in it."""
    settings = _settings(config.interpolate())
    point = {key: settings[key] for key in space}
    in_space = (_has(distribution(entry), point[key]) for key, entry in space.items())
    return point if all(in_space) else None


def overlay(settings: Mapping[str, Any]) -> str:
    """Write settings as a config to merge over another one."""
    sections: dict[str, list[str]] = {}
    for path, value in settings.items():
        section, _, key = path.rpartition(".")
        sections.setdefault(section, []).append(f"{key} = {srsly.json_dumps(value)}\n")
    return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())


def _settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return all settings of a config, which are not sections, by their paths."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found.update(_settings(value, f"{prefix}{key}."))
        elif prefix:
            found[prefix + key] = value
    return found


def distribution(entry: Any) -> BaseDistribution:
    """Return Optuna's distribution for an entry of a space; a ValueError says what is wrong."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    if kind == "categorical":
        _check_keys(entry, required={"choices"}, optional=set())
        choices = entry["choices"]
        if not isinstance(choices, list) or not choices:
            raise ValueError("'choices' must be a list that is not empty")
        if any(isinstance(choice, (list, dict)) for choice in choices):
            raise ValueError("each of 'choices' must be a text, a number, true, false or null")
        return CategoricalDistribution(choices)
    if kind not in NUMBERS:
        raise ValueError("it must be an object with the 'type' int, float or categorical")
    _check_keys(entry, required={"low", "high"}, optional={"step", "log"})
    for key in {"low", "high", "step"} & set(entry):
        if isinstance(entry[key], bool) or not isinstance(entry[key], NUMBER_TYPES[kind]):
            raise ValueError(f"'{key}' must be {'an integer' if kind == 'int' else 'a number'}")
    if not isinstance(entry.get("log", False), bool):
        raise ValueError("'log' must be true or false")
    # Optuna checks how the values go together.
    return NUMBERS[kind](**{key: value for key, value in entry.items() if key != "type"})


def _check_keys(entry: dict[str, Any], required: set[str], optional: set[str]) -> None:
    keys = set(entry) - {"type"}
    if missing := sorted(required - keys):
        raise ValueError(f"'{missing[0]}' is missing")
    if unknown := sorted(keys - required - optional):
        raise ValueError(f"unknown key '{unknown[0]}'")


def _has(drawn_from: BaseDistribution, value: Any) -> bool:
    if isinstance(drawn_from, CategoricalDistribution):
        return value in drawn_from.choices
    if not isinstance(drawn_from, (IntDistribution, FloatDistribution)):
        return False
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and drawn_from.low <= value <= drawn_from.high
