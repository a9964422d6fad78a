"""`relations merge-config`: an experiment's config out of a shared one and its changes."""

import re
from configparser import Error as ConfigParserError
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from thinc.api import Config

from ..errors import Errors
from ._util import one_line, one_line_errors, say_good


def merge_config_cli(
    base: Annotated[Path, typer.Argument(..., help="Config to start from")],
    overlays: Annotated[
        list[Path], typer.Argument(..., help="Configs with the changes, from left to right")
    ],
    output: Annotated[Path, typer.Argument(..., help="Config file to write")],
) -> None:
    """Stack small configs over a shared one.

    A setting of an overlay replaces that of the base, and so does a block that names another
    registered function. `block = null` switches a block off. Variables such as ${vars.width} stay
    as they are, so an overlay may set them.
    """
    from ..training.convert import write_atomically

    with one_line_errors():
        if output.resolve() in (path.resolve() for path in (base, *overlays)):
            raise ValueError(Errors.D154.format(path=output))
        _check_replaceable(output)
        config = merge_configs(base, *overlays)
        write_atomically(output, config.to_bytes(interpolate=False) + b"\n")
    say_good(f"Merged {len(overlays) + 1} configs into {output}")


def merge_configs(base: Path, *overlays: Path) -> Config:
    """Merge config files from left to right, and check that the result can be trained.

    base (Path): The config to start from.
    *overlays (Path): The configs with the changes.
    RETURNS (Config): The merged config, not interpolated, in the order of the base.
    """
    merged = first = _read(base)
    for path in overlays:
        merged = Config(_in_order_of(merged, merged.merge(_read(path))), is_interpolated=False)
    paths = " + ".join(str(path) for path in (base, *overlays))
    _check_trainable(merged, paths)
    _check_names(first, merged, paths)
    return merged


def _check_replaceable(output: Path) -> None:
    """Complain if the output is a config that is not complete: an overlay."""
    if not output.is_file():
        return
    try:
        config = _read(output)
    except ValueError:
        return
    try:
        _check_trainable(config, str(output))
    except ValueError:
        raise ValueError(Errors.D157.format(path=output)) from None


def _check_names(base: Config, config: Config, paths: str) -> None:
    """Complain of what overlays add and spaCy would pass over: a misspelt name."""
    from spacy import Language

    text = config.to_str(interpolate=False)
    known = {
        "vars": {name for name in config.get("vars", {}) if f"${{vars.{name}}}" in text},
        "components": set(config["nlp"]["pipeline"]),
        "nlp": set(Language.default_config["nlp"]),
        "training": set(Language.default_config["training"]),
    }
    sections = {*Language.default_config, "pretraining"}
    # Code of one's own may read others, unless they look like one of these.
    others = {name for name in config if not get_close_matches(name, sections, n=1)}
    sections |= others | {name for name in config if f"${{{name}." in text}
    groups = [("[{}]", sections, base, config)]
    for section, names in known.items():
        found = base.get(section, {}), config.get(section, {})
        groups.append((f"[{section}] {{}}", names, *found))
    for setting, names, before, after in groups:
        for name in after:
            if name not in names and name not in before:
                close = get_close_matches(name, names, n=1)
                hint = f" Is it to be {close[0]}?" if close else ""
                setting = setting.format(name)
                raise ValueError(Errors.D156.format(paths=paths, setting=setting, hint=hint))


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a complete config, and check that it can be trained.

    overrides (Optional[Dict[str, Any]]): Settings to change: `{"training.max_epochs": 5}`.
    RETURNS (Config): The config, not interpolated.
    """
    config = _read(path, overrides)
    _check_trainable(config, str(path))
    return config


def _read(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    try:
        text = _with_parents(path.read_text("utf-8"))
        return Config().from_str(text, overrides=overrides or {}, interpolate=False)
    except OSError as err:
        raise ValueError(Errors.D150.format(path=path, problem=err.strerror)) from None
    except (ValueError, ConfigParserError) as err:
        raise ValueError(Errors.D151.format(path=path, problem=one_line(err))) from None
    except KeyError as err:  # confection's, of a section that stands before its parent
        problem = f"section [….{err.args[0]}] must stand before the sections in it"
        raise ValueError(Errors.D151.format(path=path, problem=problem)) from None


def _in_order_of(base: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    # Config.merge puts what the overlay sets first, even before the name of the function.
    keys = [*(key for key in base if key in merged), *(key for key in merged if key not in base)]
    ordered = {}
    for key in keys:
        old, new = base.get(key), merged[key]
        if isinstance(old, dict) and isinstance(new, dict):
            new = _in_order_of(old, new)
        ordered[key] = new
    return ordered


def _with_parents(text: str) -> str:
    """Add the empty sections that a config needs above its nested ones, and an overlay may omit."""
    header = re.compile(r"^\[([^\[\]\n]+)\]", flags=re.MULTILINE)
    sections = set(header.findall(text))

    def with_missing(match: re.Match[str]) -> str:
        # A section must come after its parent, and so can't go to the top if that is in the text.
        parts = match[1].split(".")
        parents = [".".join(parts[:i]) for i in range(1, len(parts))]
        missing = [parent for parent in parents if parent not in sections]
        sections.update(missing)
        return "".join(f"[{parent}]\n\n" for parent in missing) + match[0]

    return header.sub(with_missing, text)


def _check_trainable(config: Config, paths: str) -> None:
    try:
        config = config.interpolate()
    except (ValueError, ConfigParserError) as err:
        raise ValueError(Errors.D152.format(paths=paths, problem=one_line(err))) from None
    for section in ("nlp", "components", "training"):
        if not isinstance(config.get(section), dict):
            raise ValueError(Errors.D153.format(paths=paths, problem=f"no section [{section}]"))
    for key, kind in (("lang", str), ("pipeline", list)):
        if not isinstance(config["nlp"].get(key), kind):
            problem = f"[nlp] has no {kind.__name__} '{key}'"
            raise ValueError(Errors.D153.format(paths=paths, problem=problem))
    for name in config["nlp"]["pipeline"]:
        if not isinstance(config["components"].get(name), dict):
            problem = f"no section [components.{name}], and the pipeline has '{name}'"
            raise ValueError(Errors.D153.format(paths=paths, problem=problem))
