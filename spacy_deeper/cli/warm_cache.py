"""`relations warm-cache`: run frozen encoders once, for all trainings to come."""

from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from ..errors import Errors
from ._util import one_line, one_line_errors, read_examples, say_good

if TYPE_CHECKING:
    from spacy.language import Language

BATCH = 64  # texts


def warm_cache_cli(
    config: Annotated[Path, typer.Argument(..., help="Config file of the training")],
    data: Annotated[
        list[str],
        typer.Argument(
            ...,
            help="Data, .spacy files or folders of them; after them overrides of the config, such "
            "as --paths.cache folder",
        ),
    ],
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Fill the cache on disk of a config's frozen encoders.

    Every training with the same encoder, settings and cache_dir then finds their outputs there:
    another run, fold or seed pays nothing. Texts that are there already are not run again.
    """
    from spacy.cli._util import parse_config_overrides, setup_gpu
    from spacy.util import minibatch

    from ..layers.cached import frozen_layers
    from ..training.callbacks import use_caches

    paths = [Path(path) for path in takewhile(lambda text: not text.startswith("--"), data)]
    with one_line_errors():
        overrides = parse_config_overrides(data[len(paths) :])
        setup_gpu(gpu_id, silent=True)
        nlp = _build(config, overrides)
        layers = [layer for layer in frozen_layers(nlp) if layer.cache.on_disk]
        if not layers:
            raise ValueError(Errors.D263.format(path=config))
        docs = [example.predicted for path in paths for example in read_examples(nlp, path)]
        for layer in layers:
            layer.initialize()
        use_caches(nlp)
        with tqdm(total=len(docs), unit="docs", leave=False) as progress:
            for batch in minibatch(docs, BATCH):
                for layer in layers:
                    layer.predict(batch)
                progress.update(len(batch))
    folders = ", ".join(str(layer.cache.disk.folder) for layer in layers if layer.cache.disk)
    say_good(f"{len(docs)} texts are in the cache {folders}")


def _build(path: Path, overrides: dict[str, object]) -> "Language":
    """Build a config's pipeline, not initialized."""
    from spacy.util import load_config, load_model_from_config

    if not path.is_file():
        raise ValueError(Errors.D150.format(path=path, problem="there is no such file"))
    try:
        config = load_config(path, overrides=overrides, interpolate=False)
        return load_model_from_config(config, auto_fill=True)
    # What a wrong config raises depends on what is wrong in it.
    except Exception as err:
        raise ValueError(Errors.D151.format(path=path, problem=one_line(err))) from err
