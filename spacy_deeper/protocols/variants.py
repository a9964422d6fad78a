"""Rows of settings to compare: a JSON file such as `configs/ingredients.json`."""

from pathlib import Path
from typing import Any

from thinc.api import Config

from ..errors import Errors
from .settings import check_known, read_settings


def read_variants(path: Path, config: Config) -> dict[str, dict[str, Any]]:
    """Read the settings that each row changes, and check that the config has them.

    path (Path): A JSON file: `{"Ours": {}, "No dropout": {"training.dropout": 0.0}, ...}`.
    config (Config): The config whose settings are changed.
    RETURNS (Dict[str, Dict[str, Any]]): The settings of each row, by its name.
    """
    rows = read_settings(path)
    for name, settings in rows.items():
        if not name.strip() or not isinstance(settings, dict):
            raise ValueError(Errors.D345.format(path=path, name=name))
        check_known(path, settings, config)
    return rows
