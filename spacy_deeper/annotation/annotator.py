"""A pipeline at work: a chunk of the input becomes a part of the output."""

import hashlib
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spacy.util import get_package_path, is_package, load_model, minibatch

from ..devices import bf16, bound_kernels, has_bf16, return_memory, use_gpu
from ..errors import Errors
from ..files import sha256sum
from ..relations import get_relations
from .chunks import Chunk
from .inputs import Failure, Text
from .outputs import OUTPUTS, Annotated
from .plain import plain

if TYPE_CHECKING:
    from spacy.tokens import Doc


# spaCy's errors of a factory and of another function that it does not know.
UNREGISTERED = ("[E002]", "[E893]")


class Part(NamedTuple):
    """What became of a chunk.

    data (bytes): A file of the output's format, with the annotated documents in their order.
    failures (list[dict[str, Any]]): The others: see `Failure`.
    counts (dict[str, int]): Of "records" (all of them), "failures", "words" (tokens), "entities"
        and "relations".
    """

    number: int
    data: bytes
    failures: list[dict[str, Any]]
    counts: dict[str, int]


@dataclass(frozen=True)
class Settings:
    """What an annotator is made of, in any process and on any machine.

    model (str): A pipeline's name or path.
    to (str): A name in `OUTPUTS`.
    batch_size (int): Documents that the pipeline takes at once.
    threads (int | None): Torch's threads; None leaves them as they are.
    gpu_id (int): A GPU, or -1 for the CPU.
    code (str | None): Path of a Python file to import before, with the pipeline's own functions.
    bf16 (bool): Whether the CPU computes products in bfloat16, if it can.
    """

    model: str
    to: str
    batch_size: int
    threads: int | None = None
    gpu_id: int = -1
    code: str | None = None
    bf16: bool = False


class Annotator:
    """A loaded pipeline that annotates chunks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        _set_up(settings)
        try:
            self.nlp = load_model(settings.model)
        # What a broken folder raises depends on what is broken in it.
        except Exception as err:
            problem = _reason(err)
            if settings.code is None and any(code in problem for code in UNREGISTERED):
                problem = (
                    problem.rstrip(".")
                    + ". If the pipeline has functions of yours, name their file with --code."
                )
            raise ValueError(Errors.D160.format(name=settings.model, problem=problem)) from err

    def __call__(self, chunk: Chunk) -> Part:
        """Annotate the texts of a chunk; a document that fails is among the part's failures."""
        # In a zone spaCy forgets its strings after it: there is no end of new ones in large inputs.
        zone = self.nlp.memory_zone() if hasattr(self.nlp, "memory_zone") else nullcontext()
        with zone, bf16(self.settings.bf16 and has_bf16()):
            docs, failures = self._annotate(chunk)
            data = self._encode(docs, failures)
            counts = {
                "records": len(chunk.records),
                "failures": len(failures),
                "words": sum(len(doc) for _, doc in docs),
                "entities": sum(len(doc.ents) for _, doc in docs),
                "relations": sum(len(get_relations(doc)) for _, doc in docs),
            }
        return_memory()
        failures.sort(key=lambda failure: failure.number)
        rows = [{key: plain(value) for key, value in row._asdict().items()} for row in failures]
        return Part(chunk.number, data, rows, counts)

    def _annotate(self, chunk: Chunk) -> tuple[list[Annotated], list[Failure]]:
        """RETURNS (tuple[list[Annotated], list[Failure]]): The docs in the order of the input."""
        failures = [record for record in chunk.records if isinstance(record, Failure)]
        docs: list[Annotated] = []
        texts = [record for record in chunk.records if isinstance(record, Text)]
        # Texts of like length waste little on padding.
        texts.sort(key=lambda text: len(text.text))
        for batch in minibatch(texts, self.settings.batch_size):
            try:
                docs.extend(self._pipe(batch))
            except Exception:
                # One of them is to blame, and the others are not to suffer for it.
                for text in batch:
                    try:
                        docs.extend(self._pipe([text]))
                    except Exception as err:
                        failures.append(text.failed(_reason(err)))
        docs.sort(key=lambda annotated: annotated[0].number)
        return docs, failures

    def _encode(self, docs: list[Annotated], failures: list[Failure]) -> bytes:
        """Make the part's content; docs that can't be in it become failures."""
        encode = OUTPUTS[self.settings.to].encode
        with suppress(Exception):
            return encode(docs)
        fit = []
        for text, doc in docs:
            try:
                encode([(text, doc)])
                fit.append((text, doc))
            except Exception as err:
                failures.append(text.failed(_reason(err)))
        docs[:] = fit
        return encode(docs)

    def _pipe(self, batch: "list[Text]") -> "Iterable[tuple[Text, Doc]]":
        docs = list(self.nlp.pipe([text.text for text in batch], batch_size=len(batch)))
        for doc in docs:
            get_relations(doc)  # another component may have left them wrong
        return zip(batch, docs, strict=True)


def _set_up(settings: Settings) -> None:
    import torch
    from spacy.cli._util import import_code

    bound_kernels()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    use_gpu(settings.gpu_id)
    if settings.code is not None:
        try:
            import_code(settings.code)
        # Any code can be in it; that there is no such file ends spaCy's own commands.
        except (Exception, SystemExit) as err:
            raise ValueError(Errors.D408.format(path=settings.code, problem=_reason(err))) from err


def model_path(name: str) -> Path:
    """Find the folder of a pipeline, given by its path or the name of an installed package."""
    if is_package(name):
        return get_package_path(name)
    if not Path(name).is_dir():
        problem = "there is no such folder, and no package of that name"
        raise ValueError(Errors.D160.format(name=name, problem=problem))
    return Path(name)


def model_identity(name: str) -> str:
    """RETURNS (str): A hash of the files of a pipeline, wherever they are."""
    folder = model_path(name)
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            found.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                while block := file.read(2**20):
                    found.update(block)
    return found.hexdigest()


def code_identity(path: Path) -> str:
    """RETURNS (str): A hash of a Python file; nothing if it can't be read, which loading says."""
    try:
        return sha256sum(path)
    except OSError:
        return ""


def _reason(err: BaseException) -> str:
    return f"{type(err).__name__}: {' '.join(str(err).split())}"
