"""What a search may change in a config: a JSON file such as `configs/search.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from thinc.api import Config

from ..errors import Errors
from .settings import all_settings, check_known, read_settings

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
    entries = read_settings(path)
    check_known(path, entries, config)
    for key, entry in entries.items():
        try:
            distribution(entry)
        except ValueError as err:
            raise ValueError(Errors.D323.format(path=path, key=key, problem=err)) from None
    return dict(entries)


def config_as_point(config: Config, space: Space) -> dict[str, Any] | None:
    """Return the config's own settings as a point of the space, or None if they are not in it."""
    settings = all_settings(config.interpolate())
    point = {key: settings[key] for key in space}
    in_space = (_has(distribution(entry), point[key]) for key, entry in space.items())
    return point if all(in_space) else None


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
