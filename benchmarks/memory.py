"""Peak memory, in processes of their own; sizes on disk, and times to import and to load.

    python -m benchmarks.memory PIPELINE DATA KIND SIZE ...

is such a process: it prints the megabytes that it takes when loaded, and what each size takes above
what was there before.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from spacy_deeper.devices import return_memory

from .report import Table
from .setup import Setup

LENGTHS = (10, 100, 1_000, 10_000)
ENTITIES = (2, 10, 50, 200, 500)
NOTE = """The most MiB above what the process had before, one document at a time, with what was free
given back to the system. By tokens, training is that of a document without entities; by entities,
there are three tokens for each. `head` is equations 4 to 6 alone. Needs Linux and GNU's C
library."""
MIB = 2**20


def run(setup: Setup) -> list[Table]:
    """Measure memory by length and by entities, and what loading costs."""
    lengths = LENGTHS[:2] if setup.quick else LENGTHS
    entities = ENTITIES[:2] if setup.quick else ENTITIES
    pipelines = {"frozen encoder": setup.frozen, "no encoder": setup.bare}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in pipelines}
        for name, nlp in pipelines.items():
            nlp.to_disk(paths[name])
        tables = []
        for name, path in paths.items():
            columns = {kind: child(setup, path, kind, lengths) for kind in ("read", "learn")}
            tables.append(peaks(f"Memory by tokens, {name}", "tokens", lengths, columns))
        kinds = ("head", "relate", "learn_relations")
        columns = {kind: child(setup, paths["no encoder"], kind, entities) for kind in kinds}
        tables.append(peaks("Memory by entities, no encoder", "entities", entities, columns))
        return [*tables, loading(paths, 1 if setup.quick else 3)]


def peaks(title: str, what: str, sizes: tuple[int, ...], columns: dict[str, list[float]]) -> Table:
    """Return a table of what each size takes, and a loaded pipeline."""
    names = {"read": "inference", "learn": "training", "relate": "relation_scorer"}
    names["learn_relations"] = "training"
    rows: list[list[Any]] = [
        [size, *(found[i + 1] for found in columns.values())] for i, size in enumerate(sizes)
    ]
    rows.append(["loaded", *(found[0] for found in columns.values())])
    columns_ = [what, *(f"{names.get(kind, kind)}, MiB" for kind in columns)]
    return Table(title, columns_, rows, NOTE)


def child(setup: Setup, path: Path, kind: str, sizes: tuple[int, ...]) -> list[float]:
    """Return what a process of its own says."""
    data = str(setup.data) if setup.data else ""
    args = [str(path), data, kind, *map(str, sizes)]
    return json.loads(python("-m", "benchmarks.memory", *args).splitlines()[-1])


def python(*args: str) -> str:
    """Run Python on one thread, and return what it prints."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, *args], cwd=root, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def loading(paths: dict[str, Path], repeats: int) -> Table:
    """Measure how large pipelines are, and how long they and the package take to load."""
    times: dict[str, list[list[float]]] = {name: [] for name in paths}
    for _ in range(repeats):
        for name, path in paths.items():
            times[name].append(json.loads(python("-c", LOAD, str(path))))
    rows = []
    for name, path in paths.items():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        rows.append(
            [name, size / MIB, *(median(column) for column in zip(*times[name], strict=True))]
        )
    columns = ["pipeline", "on disk, MiB", "import spacy, s", "import spacy_deeper, s", "load, s"]
    note = "`import spacy_deeper` comes after `import spacy`; `load` imports torch, too."
    return Table("Loading", columns, rows, note)


LOAD = """
import json, sys
from time import perf_counter
times = [perf_counter()]
import spacy
times.append(perf_counter())
import spacy_deeper
times.append(perf_counter())
spacy.load(sys.argv[1])
times.append(perf_counter())
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""


def peak_mib() -> float:
    """Return the most memory that this process ever had resident, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` would count what the parent had when it forked
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _unit() / MIB


def children_peak_mib() -> float:
    """Return the most memory that one of the ended children of this process had, in MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _unit() / MIB


def _unit() -> int:
    return 1 if sys.platform == "darwin" else 1024


def resident_mib() -> float:
    """Return what is resident now, in MiB, which the peak then begins with again."""
    return_memory()  # or what is free would hide what is taken next
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def taken_mib(function: Callable[[], object]) -> float:
    """Return the most memory that a function has while it runs, in MiB above what was there."""
    before = resident_mib()
    function()
    return peak_mib() - before


def main(path: str, data: str, kind: str, *sizes: str) -> None:
    """Be the process that is measured."""
    import spacy
    from spacy.training import Example

    from .data import head_input, read_docs, texts_of, with_entities
    from .pipelines import training_epoch

    nlp = spacy.load(path)
    docs = read_docs(Path(data) if data else None)
    scorer: Any = nlp.get_pipe("relation_scorer")

    def read(n: int) -> None:
        nlp(texts_of(docs, n, n)[0])

    def learn(n: int) -> None:
        doc = nlp.make_doc(texts_of(docs, n, n)[0])
        gold = doc.copy()
        gold.set_ents([], default="outside")
        training_epoch(nlp, [Example(doc, gold)])()

    def relate(n: int) -> None:
        doc = with_entities(nlp, docs, n)
        tok2vec: Any = nlp.get_pipe("tok2vec")
        tok2vec.set_annotations([doc], tok2vec.predict([doc]))
        scorer(doc)

    def learn_relations(n: int) -> None:
        gold = with_entities(nlp, docs, n)
        gold._.relations = []
        training_epoch(nlp, [Example(nlp.make_doc(gold.text), gold)])()

    def head(n: int) -> None:
        layer = scorer.model.get_ref("output_layer")
        layer.predict(head_input(layer, n))

    kinds: dict[str, Callable[[int], None]] = {
        "read": read,
        "learn": learn,
        "relate": relate,
        "learn_relations": learn_relations,
        "head": head,
    }
    loaded = resident_mib()
    kinds[kind](2)  # what is made once does not count
    taken = [taken_mib(partial(kinds[kind], int(size))) for size in sizes]
    print(json.dumps([loaded, *taken]))


if __name__ == "__main__":
    main(*sys.argv[1:])
