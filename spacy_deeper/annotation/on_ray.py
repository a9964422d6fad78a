"""The engine for a cluster: annotators as actors of Ray Data.

One task reads the chunks, on the machine where this process runs, and stops when the actors do not
keep up. An actor loads the pipeline once. What comes back is written here, so that the machines
need share no disk: the pipeline and its code travel with the work.
"""

import io
import logging
import pickle
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from spacy.util import is_package

from ..errors import Errors
from .annotator import Annotator, Part, Settings, model_path
from .chunks import Chunk, Chunks, ProcessDied

#: How often a chunk is begun, as long as its actor or its machine is lost each time.
ATTEMPTS = 3
#: In the traceback of an actor, an error that is for the user.
CODED = re.compile(r"ValueError: (\[D\d{3}\] .*)")


def run(
    chunks: Chunks, settings: Settings, n_process: int, address: str | None = None
) -> Iterator[Part]:
    """Annotate chunks by `n_process` actors.

    address (str | None): Of the cluster; without one, a cluster on this machine for this run, or
        the one that this process is connected to already.
    RETURNS (Iterator[Part]): The parts, in the order in which they are done.
    RAISES (ValueError): If Ray is not installed, there is no cluster, or the work fails on it.
    """
    try:
        import ray
        import ray.data
    except ImportError as err:
        raise ValueError(Errors.D416.format(problem=err)) from None
    ours = not ray.is_initialized()
    address = address or "local"
    if ours:
        try:
            quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
            ray.init(address=address, **quiet)
        # What it raises depends on how it tried.
        except Exception as err:
            problem = " ".join(str(err).split())
            raise ValueError(Errors.D417.format(address=address, problem=problem)) from None
    try:
        yield from _run(chunks, settings, n_process)
    except ray.exceptions.RayError as err:
        text = str(err).strip()
        coded = CODED.findall(text)
        problem = text.splitlines()[-1]
        raise ValueError(coded[-1] if coded else Errors.D418.format(problem=problem)) from err
    finally:
        if ours:
            ray.shutdown()


def _run(chunks: Chunks, settings: Settings, n_process: int) -> Iterator[Part]:
    import ray
    from ray.data import ActorPoolStrategy

    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    attempts = ray.remote(Attempts).options(num_cpus=0, label_selector=here).remote()
    files = ray.put(packed(settings))
    with _one_chunk_a_block():
        parts = ray.data.read_datasource(
            _make_source(chunks),
            override_num_blocks=1,
            num_cpus=0,  # the actors are to have them
            label_selector=here,
        ).map(
            Actor,
            fn_constructor_args=(files, settings, attempts),
            compute=ActorPoolStrategy(size=n_process),
            num_cpus=settings.threads or 1,
        )
        for row in parts.iter_rows():
            part = pickle.loads(row["part"])
            if isinstance(part, Chunk):
                raise ProcessDied(f"{ATTEMPTS} times", part)
            yield part


@contextmanager
def _one_chunk_a_block() -> Iterator[None]:
    """Let a block, Ray's unit of work, be a row; and leave the progress bar to us."""
    from ray.data import DataContext

    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    before = context.target_max_block_size, context.enable_progress_bars, logger.level
    context.target_max_block_size, context.enable_progress_bars = 1, False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.target_max_block_size, context.enable_progress_bars, level = before
        logger.setLevel(level)


class Attempts:
    """Counts how often each chunk was begun. Ray itself would begin one for ever."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        self.counts[number] += 1
        return self.counts[number]


class Actor:
    """An annotator on some machine of the cluster.

    files: A reference to what `packed` has made.
    attempts: The handle of an actor, `Attempts`.
    """

    def __init__(self, files: Any, settings: Settings, attempts: Any) -> None:
        import ray

        self.attempts = attempts
        self.folder = tempfile.TemporaryDirectory()
        with zipfile.ZipFile(io.BytesIO(ray.get(files))) as archive:
            archive.extractall(self.folder.name)
        here = Path(self.folder.name)
        if (here / "model").exists():
            settings = replace(settings, model=str(here / "model"))
        if settings.code is not None:
            settings = replace(settings, code=str(here / "code.py"))
        self.annotator = Annotator(settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        chunk: Chunk = pickle.loads(row["chunk"])
        if ray.get(self.attempts.begin.remote(chunk.number)) > ATTEMPTS:
            return {"part": row["chunk"]}  # given back as it is
        return {"part": pickle.dumps(self.annotator(chunk))}


def packed(settings: Settings) -> bytes:
    """Pack the pipeline's folder and code; what is an installed package must be on each machine."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if not is_package(settings.model):
            folder = model_path(settings.model)
            for path in folder.rglob("*"):
                archive.write(path, Path("model") / path.relative_to(folder))
        if settings.code is not None:
            archive.write(settings.code, "code.py")
    return file.getvalue()


def _make_source(chunks: Chunks) -> Any:
    """Make a datasource of Ray's: one task, which reads the chunks as they are asked for."""
    import pyarrow as pa
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    def read() -> Iterator[Any]:
        for chunk in chunks:
            yield pa.table({"chunk": pa.array([pickle.dumps(chunk)], pa.large_binary())})

    class ChunkSource(Datasource):
        def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
            unknown: dict[str, Any] = dict.fromkeys(BlockMetadata.__dataclass_fields__)
            return [ReadTask(read, BlockMetadata(**unknown))]

        def estimate_inmemory_data_size(self) -> None:
            return None

    return ChunkSource()
