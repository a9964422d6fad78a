"""The engine for one machine: annotators in this process, or in several others."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import NamedTuple

from .annotator import Annotator, Part, Settings
from .chunks import Chunk, Chunks, ProcessDied
from .inputs import Failure, Text


def run(
    chunks: Chunks, settings: Settings, n_process: int, set_suspect: Callable[[int | None], None]
) -> Iterator[Part]:
    """Annotate chunks, `n_process` at a time; no more than one more is in memory.

    set_suspect (Callable): Keeps the number of the chunk that this process may die of.
    RETURNS (Iterator[Part]): The parts, in the order in which they are done.
    RAISES (ValueError): If the pipeline can't be loaded, or a process dies.
    """
    if n_process > 1:
        yield from _run_in_processes(iter(chunks), settings, n_process)
        return
    annotator = Annotator(settings)
    for chunk in chunks:
        set_suspect(chunk.number)
        try:
            part = annotator(chunk)
        finally:
            set_suspect(None)
        yield part


def run_alone(chunk: Chunk, settings: Settings) -> Part | None:
    """Annotate a chunk that a process died of, perhaps by another's fault, in a process of its own.

    If that dies, too, the documents are tried one by one; one that a fresh process dies of fails.

    RETURNS (Part | None): Nothing if processes die before they have a document.
    """
    with suppress(ProcessDied), _workers(settings, 1) as [worker]:
        return _ask(worker, chunk)
    settings = replace(settings, batch_size=1)
    records = list(chunk.records)
    at = 0
    while at < len(records):
        with _workers(settings, 1) as [worker]:
            try:
                _ask(worker, chunk, [])  # which loads the pipeline
            except ProcessDied:
                return None
            first = at
            try:
                while at < len(records):
                    _ask(worker, chunk, [records[at]])
                    at += 1
            except ProcessDied as err:
                record = records[at]
                if at == first and isinstance(record, Text):
                    records[at] = record.failed(f"the process died ({err.how})")
                    at += 1
    with _workers(settings, 1) as [worker]:
        return _ask(worker, chunk, records)


class Worker(NamedTuple):
    """A process with its pipe: it takes a chunk, and gives a part or an exception."""

    process: BaseProcess
    pipe: Connection


def _run_in_processes(
    chunks: Iterator[Chunk], settings: Settings, n_process: int
) -> Iterator[Part]:
    busy: dict[Connection, tuple[Worker, Chunk]] = {}
    waiting = next(chunks, None)
    with _workers(settings, n_process) as workers:
        idle = list(workers)
        while busy or waiting is not None:
            while idle and waiting is not None:
                worker = idle.pop()
                busy[worker.pipe] = worker, waiting
                _send(worker, waiting)
                waiting = next(chunks, None)
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                worker, chunk = busy.pop(pipe)
                part = _receive(worker, chunk)
                # It gets the next one before this part is written.
                if waiting is not None:
                    busy[pipe] = worker, waiting
                    _send(worker, waiting)
                    waiting = next(chunks, None)
                else:
                    idle.append(worker)
                yield part


@contextmanager
def _workers(settings: Settings, n_process: int) -> Iterator[list[Worker]]:
    """Start processes, and see that nothing is left of them."""
    # Not by fork: torch's threads, and a GPU, do not survive it.
    context = get_context("spawn")
    workers: list[Worker] = []
    try:
        for _ in range(n_process):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_work, args=(theirs, settings), daemon=True
            )
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            workers.append(Worker(process, ours))
        yield workers
    finally:
        # Killed before its pipe ends: a process that waits there would complain.
        for process, pipe in workers:
            process.kill()
            process.join()
            pipe.close()


def _work(pipe: Connection, settings: Settings) -> None:
    """What a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent deals with it
    Thread(target=_end_with_parent, daemon=True).start()
    annotator = None
    while True:
        chunk = pipe.recv()
        try:
            annotator = annotator or Annotator(settings)
            pipe.send(annotator(chunk))
        except Exception as err:
            # Its text: not every exception survives a pipe.
            pipe.send(err if isinstance(err, ValueError) else RuntimeError(f"{err!r}"))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _ask(worker: Worker, chunk: Chunk, records: list[Text | Failure] | None = None) -> Part:
    """Let a process annotate a chunk, or some of its records."""
    _send(worker, chunk, records)
    return _receive(worker, chunk)


def _send(worker: Worker, chunk: Chunk, records: list[Text | Failure] | None = None) -> None:
    try:
        worker.pipe.send(chunk if records is None else chunk._replace(records=records))
    except OSError:
        raise _died(worker, chunk) from None


def _receive(worker: Worker, chunk: Chunk) -> Part:
    try:
        result = worker.pipe.recv()
    except (EOFError, OSError):
        raise _died(worker, chunk) from None
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, Part)
    return result


def _died(worker: Worker, chunk: Chunk) -> ProcessDied:
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return ProcessDied(how, chunk)
