"""Checks of what a config may set, and settings that are changed later."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from ..errors import Errors


def probability(name: str, value: float) -> float:
    """Return a setting that is a number from 0 to 1, or raise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= value <= 1.0:
        raise ValueError(Errors.D208.format(name=name, value=value))
    return float(value)


def over_half(name: str, value: float | None) -> float | None:
    """Return a component's threshold that is a number from 0.5 to 1, or None, or raise."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.5 <= value <= 1.0:
        raise ValueError(Errors.D281.format(name=name, value=value))
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return a setting that is a number from 0, or raise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= 0.0:
        raise ValueError(Errors.D218.format(name=name, value=value))
    return float(value)


def probabilities(name: str, values: Mapping[str, float] | None) -> dict[str, float]:
    """Return a setting that maps labels to numbers from 0 to 1, or raise. None is none."""
    if not isinstance(values, Mapping | None):
        raise ValueError(Errors.D225.format(name=name, values=values))
    thresholds: dict[str, float] = {}
    for label, value in (values or {}).items():
        if not isinstance(label, str) or isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(Errors.D225.format(name=name, values=values))
        thresholds[label] = probability(f"{name}[{label!r}]", float(value))
    return thresholds


def change(cfg: dict[str, Any], name: str, value: Any, configured: Any) -> None:
    """Keep a changed setting in what is saved of a component.

    configured: What its config says, which stays as it is.
    """
    cfg[name] = value
    cfg[_configured(name)] = configured


def changed(cfg: dict[str, Any], name: str, configured: Any) -> Any:
    """Return a setting as it was changed, or else as its config has it.

    A config that says something else than when it was changed is an override, and prevails.
    """
    configured = _exact(configured)
    if name not in cfg or _exact(cfg.get(_configured(name), configured)) != configured:
        return configured
    return _exact(cfg[name])


def _configured(name: str) -> str:
    return f"configured_{name}"


def _exact(value: Any) -> Any:
    """Undo that srsly reads 0.3 as 0.30000000000000004."""
    if isinstance(value, Mapping):
        return {key: _exact(inner) for key, inner in value.items()}
    return round(value, 15) if isinstance(value, float) else value
