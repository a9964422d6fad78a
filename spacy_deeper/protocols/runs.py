"""One training with its score: what it is made of, and where it is kept."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import srsly
from thinc.api import Config

from ..errors import Errors
from ..files import sha256sum
from .settings import with_settings


@dataclass(frozen=True)
class Run:
    """One pipeline to train on `train` and to score on `test`.

    name (str): Its folder's name, unique in its protocol.
    row (str): What it is a sample of: the runs of one row are averaged.
    train, test (Path): `.spacy` files.
    seed (int): Of the initial weights, the dropout and the order of the training data.
    settings (Dict[str, Any]): What it changes in the config: `{"vars.re_depth": 0}`.
    dev (Optional[Path]): Scored during training, for learning curves and pruning. Without it there
        is nothing to choose a checkpoint by.
    """

    name: str
    row: str
    train: Path
    test: Path
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    dev: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): Its fields, paths as texts."""
        fields = asdict(self)
        paths = {key: value and str(value) for key, value in fields.items() if key in PATHS}
        return {**fields, **paths}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Run":
        paths = {key: value and Path(value) for key, value in fields.items() if key in PATHS}
        return cls(**{**fields, **paths})

    def fingerprint(self, options: dict[str, Any]) -> str:
        """Tell whether a finished run is this one: a hash of all that its scores depend on.

        options (Dict[str, Any]): How the runs of the protocol are trained and scored.
        """
        files = [path and file_hash(path) for path in (self.train, self.dev, self.test)]
        what = [options, self.seed, self.settings, files]
        start = self.start(options.get("config", ""))
        if start is not None and start.is_dir():
            paths = sorted(path for path in start.rglob("*") if path.is_file())
            what.append([(str(path.relative_to(start)), file_hash(path)) for path in paths])
        return hashlib.sha256(srsly.json_dumps(what, sort_keys=True).encode()).hexdigest()

    def start(self, config: str) -> Path | None:
        """Return the pipeline whose weights `start_from` begins with, if a config has it."""
        if START not in config + srsly.json_dumps(self.settings):
            return None
        parsed = {"training": {}, **Config().from_str(config, interpolate=False)}
        complete = with_settings(
            parsed, {**self.settings, "training.seed": self.seed}
        ).interpolate()
        callback = (complete.get("initialize") or {}).get("after_init") or {}
        return Path(callback["path"]) if callback.get("@callbacks") == START else None


PATHS = ("train", "test", "dev")
START = "spacy_deeper.start_from.v1"


def file_hash(path: Path) -> str:
    """RETURNS (str): The SHA-256 of a file's content."""
    try:
        return sha256sum(path)
    except OSError as err:
        raise ValueError(Errors.D161.format(path=path, problem=err.strerror)) from None
