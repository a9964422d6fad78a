"""From input files to output files."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from ..devices import can_bf16, n_cores
from ..errors import Errors
from . import local, on_ray
from .annotator import Part, Settings, code_identity, model_identity
from .chunks import Chunks, ProcessDied
from .inputs import Columns, find_input
from .outputs import OUTPUTS, find_output
from .work_folder import WorkFolder, totals

ENGINES = ("local", "ray")
# If so many documents fail and not one is annotated, it is no fault of the documents.
HOPELESS = 100


@dataclass(frozen=True)
class Summary:
    """What was done.

    output (Path): The file, or the folder of parts.
    failures_path (Path): A file with a line for each record that failed, if there are any.
    records (int): In the input.
    failures, words, entities, relations (int): Of all of it; words are tokens.
    seconds (float): That this run took; with `run_words` annotated in it, without those that an
        earlier one had done.
    """

    output: Path
    failures_path: Path
    records: int
    failures: int
    words: int
    entities: int
    relations: int
    seconds: float
    run_words: int


def annotate(
    model: str,
    input: Path,
    output: Path,
    format: str | None = None,
    to: str | None = None,
    *,
    columns: Columns | None = None,
    n_process: int = 1,
    batch_size: int = 64,
    threads: int | None = None,
    chunk_size: int = 500,
    gpu_id: int = -1,
    code: Path | None = None,
    bf16: bool = False,
    engine: str = "local",
    address: str | None = None,
    force: bool = False,
    silent: bool = True,
) -> Summary:
    """Annotate texts with a pipeline, and write all of them in the order of the input.

    A run that was stopped, in whatever way, goes on when the same call is made again; it ends by
    itself if the pipeline fails with each of the first documents. Memory does
    not grow with the input, except for one joined `.spacy` file, which spaCy holds as a whole.

    model (str): The pipeline's name or path.
    input (Path): A file or a folder: see `find_input`.
    output (Path): The file to write, or, without a suffix, a folder for a file of each chunk.
    format (str | None): Of the input, a name in `inputs.FORMATS`; by default the suffix tells.
    to (str | None): Of the output, a name in `OUTPUTS`; by default the suffix tells.
    columns (Columns | None): Names of the fields with the text and the id.
    n_process (int): Processes, or Ray's actors, that annotate at a time. With more than one, or to
        go on where one was killed, the calling script must have its work below
        `if __name__ == "__main__"`.
    batch_size (int): Documents that the pipeline takes at once.
    threads (int | None): Torch's threads in each process; by default its share of the cores, and
        one on Ray.
    chunk_size (int): Records that are done, and written, together.
    gpu_id (int): A GPU, or -1 for the CPU.
    code (Path | None): A Python file to import first, with the pipeline's own functions.
    bf16 (bool): Compute products in bfloat16 on the CPU, if it has instructions for that, and on
        Ray on those machines that have.
    engine (str): "local", or "ray" for Ray Data.
    address (str | None): Of a Ray cluster; by default one is started on this machine.
    force (bool): Begin anew, and replace an output that exists.
    silent (bool): Show no progress. It is never shown where there is no terminal.
    RETURNS (Summary): Counts and times.
    RAISES (ValueError): A coded error that says what is wrong, and what to do.
    """
    numbers = {"--n-process": n_process, "--batch-size": batch_size, "--chunk-size": chunk_size}
    for name, number in numbers.items() | {("--threads", 1 if threads is None else threads)}:
        if number < 1:
            raise ValueError(Errors.D419.format(name=name, value=number))
    if engine not in ENGINES:
        raise ValueError(Errors.D420.format(name=engine, known=", ".join(ENGINES)))
    if engine == "ray" and gpu_id >= 0:
        raise ValueError(Errors.D421)
    if engine != "ray" and address is not None:
        raise ValueError(Errors.D430.format(option="--address", where="without --engine ray"))
    if engine == "local":  # on Ray each machine has its own processor
        bf16 = can_bf16(bf16, gpu_id)
    start = perf_counter()
    source = find_input(input, format, columns or Columns())

    def count() -> int:
        records = source.count()
        if not records:
            raise ValueError(Errors.D423.format(path=input))
        return records

    to = find_output(output, to)
    if input.is_dir() and output.resolve().is_relative_to(input.resolve()):
        raise ValueError(Errors.D426.format(path=output, input=input))
    if threads is None and (engine == "ray" or n_process > 1):
        threads = 1 if engine == "ray" else max(1, n_cores() // n_process)
    functions = None if code is None else str(code)
    settings = Settings(model, to, batch_size, threads, gpu_id, functions, bf16)
    # What the output does not depend on may change from one run to the next.
    manifest: dict[str, Any] = {
        "model": model_identity(model),
        "input": source.identity(),
        "input format": source.format,
        "columns": list(source.columns),
        "output format": to,
        "chunk size": chunk_size,
        "bf16": bf16,
        "code": code is not None and code_identity(code),
    }
    work = WorkFolder(output, OUTPUTS[to].suffix)
    work.check_beside(source.files)
    with work.claimed():
        begun = work.begin(manifest, count, force)
        if "finished" in begun:  # it was stopped while it cleaned up
            work.clean_up()
            before = total = Counter(begun["finished"])
        else:
            done = work.done()
            before = totals(done.values())
            chunks = Chunks(source, chunk_size, frozenset(done))
            if before["records"] < begun["records"]:
                hope = before["records"] > before["failures"]
                if before["records"] and not silent:
                    there = f"{before['records']} of {begun['records']} documents are done already"
                    tqdm.write(f"Going on: {there}.", file=sys.stderr)
                try:
                    parts = _parts(chunks, settings, n_process, engine, address, work)
                    for part in _with_progress(parts, before["records"], begun["records"], silent):
                        hope = hope or not _is_hopeless(part)
                        if not hope:
                            reason = part.failures[0]["reason"]
                            n_failed = part.counts["records"]
                            problem = {"count": n_failed, "reason": reason, "least": HOPELESS}
                            raise ValueError(Errors.D425.format(**problem))
                        work.save(part)
                        done[part.number] = part.counts
                except ProcessDied as err:
                    work.set_suspect(err.number)
                    raise
                except Exception:
                    if not done:  # mended, it is another pipeline, and another run
                        with suppress(ValueError):
                            work.clean_up()
                    raise
            total = totals(done.values())
            if source.identity() != manifest["input"] or total["records"] != begun["records"]:
                raise ValueError(Errors.D422.format(path=input, work=work.path))
            work.finish({**begun, "finished": total}, OUTPUTS[to].join)
    return Summary(
        output,
        work.failures,
        total["records"],
        total["failures"],
        total["words"],
        total["entities"],
        total["relations"],
        perf_counter() - start,
        total["words"] - before["words"],
    )


def _parts(
    chunks: Chunks,
    settings: Settings,
    n_process: int,
    engine: str,
    address: str | None,
    work: WorkFolder,
) -> Iterator[Part]:
    """Annotate chunks: first, and alone, the one that a process died of in an earlier run."""
    suspect = work.suspect()
    if suspect is not None and suspect not in chunks.done:
        chunk = next(chunk for chunk in chunks if chunk.number == suspect)
        part = local.run_alone(chunk, settings)
        if part is not None:
            yield part
            chunks = replace(chunks, done=chunks.done | {suspect})
    if engine == "ray":
        yield from on_ray.run(chunks, settings, n_process, address)
    else:
        yield from local.run(chunks, settings, n_process, work.set_suspect)


def _is_hopeless(part: Part) -> bool:
    """Whether the pipeline, not the input, failed with each of many documents."""
    failed = [row for row in part.failures if row["text"] is not None]
    return len(failed) == part.counts["records"] >= HOPELESS


def _with_progress(parts: Iterable[Part], done: int, records: int, silent: bool) -> Iterator[Part]:
    """Show a bar of documents, and the rate in words."""
    start, words = perf_counter(), 0
    with tqdm(total=records, initial=done, unit=" docs", disable=silent or None) as bar:
        for part in parts:
            yield part
            words += part.counts["words"]
            bar.set_postfix_str(f"{words / (perf_counter() - start):.0f} words/s", refresh=False)
            bar.update(part.counts["records"])
