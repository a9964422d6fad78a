"""Rows of settings to compare: a JSON file such as `configs/ingredients.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinc.api import Config

from ..errors import Errors
from .settings import check_known, read_settings


def read_variants(path: Path, config: Config) -> dict[str, dict[str, Any]]:
    """Read the settings that each row changes, and check that the config has them.

    path (Path): A JSON file: `{"Ours": {}, "No dropout": {"training.dropout": 0.0}, ...}`. null
        leaves a section out; another value takes its place.
    config (Config): The config whose settings are changed.
    RETURNS (Dict[str, Dict[str, Any]]): The settings of each row, by its name.
    """
    rows = read_settings(path)
    folders: set[str] = set()
    for name, settings in rows.items():
        if slug(name) in folders:
            raise ValueError(Errors.D346.format(path=path, name=name))
        folders.add(slug(name))
        if not slug(name) or not isinstance(settings, dict):
            raise ValueError(Errors.D345.format(path=path, name=name))
        # Also a whole section, which is no setting: null leaves one out, such as an embedding, and
        # a number stands for a schedule. Then nothing can be set within.
        there = {key for key in settings if "." in key and has(config, key)}
        check_known(path, settings.keys() - there, config)
        for key in settings:
            if any(key.startswith(f"{other}.") for other in settings):
                raise ValueError(Errors.D347.format(path=path, name=name, key=key))
    return rows


def slug(name: str) -> str:
    """Return what a row's folder is called."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def has(config: Mapping[str, Any], key: str) -> bool:
    """Tell whether a config has a section or setting of this path."""
    name, _, rest = key.partition(".")
    inner = config.get(name)
    return has(inner, rest) if rest and isinstance(inner, Mapping) else not rest and name in config
