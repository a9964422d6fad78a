import csv
import io
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin

from spacy_deeper import devices
from spacy_deeper.annotation import annotate, annotator
from spacy_deeper.annotation.annotator import Annotator, Settings
from spacy_deeper.annotation.chunks import Chunk
from spacy_deeper.annotation.inputs import Columns, Text
from spacy_deeper.annotation.outputs import OUTPUTS

TEXTS = ["Ann met Bo in Oslo.", "Nobody.", "", "Bo, FAIL.", "Ann and Bo."]


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf8").splitlines()]


@pytest.fixture
def run(rules: str, code: Path, tmp_path: Path):
    """Return a function that annotates texts, and gives the summary."""

    def run(output: str, texts=tuple(TEXTS), model: str = rules, **options):
        path, text = tmp_path / "in.txt", "\n".join(texts) + "\n"
        if not path.exists() or path.read_text() != text:  # its time is part of its identity
            path.write_text(text)
        options = {"chunk_size": 2, "code": code, **options}
        return annotate(model, tmp_path / "in.txt", tmp_path / output, **options)

    return run


def test_json_lines(run, tmp_path: Path) -> None:
    done = run("out.jsonl")
    records = json_lines(tmp_path / "out.jsonl")
    assert [(record["id"], record["text"]) for record in records] == [
        (0, TEXTS[0]),
        (1, TEXTS[1]),
        (4, TEXTS[4]),
    ]
    ann = {"start": 0, "end": 3, "label": "Per", "text": "Ann"}
    bo = {"start": 8, "end": 10, "label": "Per", "text": "Bo"}
    assert records[0]["ents"][:2] == [ann, bo]
    assert records[0]["relations"][0] == {"head": ann, "tail": bo, "label": "Next", "score": 0.5}
    assert records[1] == {"id": 1, "text": "Nobody.", "ents": [], "relations": [], "meta": {}}
    where = str(tmp_path / "in.txt")
    empty = {"number": 2, "id": 2, "file": where, "line": 3, "reason": "the text is empty"}
    failed = {"number": 3, "id": 3, "file": where, "line": 4}
    assert json_lines(tmp_path / "out.jsonl.failures.jsonl") == [
        {**empty, "text": None, "raw": ""},
        {**failed, "reason": "RuntimeError: told to fail", "text": "Bo, FAIL.", "raw": None},
    ]
    assert (done.records, done.failures, done.entities, done.relations) == (5, 2, 5, 3)
    assert done.words == done.run_words == 6 + 2 + 4
    assert not (tmp_path / "out.jsonl.work").exists()


def test_fields_of_records_are_kept(rules: str, code: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"key": "x", "body": "Ann.", "n": [1]}\n')
    columns = Columns("body", "key")
    annotate(rules, path, tmp_path / "out.jsonl", code=code, columns=columns)
    (record,) = json_lines(tmp_path / "out.jsonl")
    assert (record["id"], record["text"], record["meta"]) == ("x", "Ann.", {"n": [1]})
    annotate(rules, path, tmp_path / "out.spacy", code=code, columns=columns)
    (doc,) = read_docs(tmp_path / "out.spacy")
    assert (doc.user_data["orig_id"], doc.user_data["meta"]) == ("x", {"n": (1,)})


def test_failures_can_be_annotated_later(run, rules: str, code: Path, tmp_path: Path) -> None:
    run("out.jsonl")
    path = tmp_path / "out.jsonl.failures.jsonl"
    path.write_text(path.read_text().replace("FAIL", "Ann"))  # what failed does no more
    done = annotate(rules, path, tmp_path / "again.jsonl", code=code)
    (record,) = json_lines(tmp_path / "again.jsonl")
    assert (record["id"], record["text"], len(record["ents"])) == (3, "Bo, Ann.", 2)
    assert done.failures == 1  # the empty one


def read_docs(path: Path) -> list:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_docs(run, tmp_path: Path) -> None:
    run("out.spacy")
    docs = read_docs(tmp_path / "out.spacy")
    assert [doc.text for doc in docs] == [TEXTS[i] for i in (0, 1, 4)]
    assert [doc.user_data["orig_id"] for doc in docs] == [0, 1, 4]
    assert [(str(r.head), r.label, str(r.tail)) for r in docs[0]._.relations] == [
        ("Ann", "Next", "Bo"),
        ("Bo", "Next", "Oslo"),
    ]


def test_triples(run, tmp_path: Path) -> None:
    run("out.tsv")
    rows = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert rows[0][:5] == ["id", "head", "relation", "tail", "score"]
    assert rows[1] == ["0", "Ann", "Next", "Bo", "0.5", "0", "3", "Per", "8", "10", "Per"]
    assert [row[:4] for row in rows[2:]] == [
        ["0", "Bo", "Next", "Oslo"],
        ["4", "Ann", "Next", "Bo"],
    ]


def test_parquet(run, tmp_path: Path, monkeypatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run("out.jsonl")
    expected = json_lines(tmp_path / "out.jsonl")
    for size in (1, 2**25):  # a row group for each part, and one for all
        monkeypatch.setattr("spacy_deeper.annotation.outputs.ROW_GROUP", size)
        run("out.parquet", force=True)
        rows = parquet.ParquetFile(tmp_path / "out.parquet").read().to_pylist()
        assert [{**row, "id": int(row["id"]), "meta": json.loads(row["meta"])} for row in rows] == (
            expected
        )


def test_a_folder_of_parts(run, tmp_path: Path) -> None:
    run("out.jsonl")
    run("parts", to="jsonl")
    names = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert names == [f"part-00000{number}.jsonl" for number in range(3)]
    parts = "".join((tmp_path / "parts" / name).read_text() for name in names)
    assert parts == (tmp_path / "out.jsonl").read_text()
    (tmp_path / "parts" / "mine").touch()
    with pytest.raises(ValueError, match=r"\[D413\]"):
        run("parts", to="jsonl")
    with pytest.raises(ValueError, match=r"\[D412\] .*'mine'"):
        run("parts", to="jsonl", force=True)
    (tmp_path / "parts" / "mine").unlink()
    run("parts", ["Ann."], to="jsonl", force=True)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == names[:1]


def test_an_output_is_not_lost(run, rules: str, tmp_path: Path) -> None:
    run("out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"\[D413\] .*--force"):
        run("out.jsonl", ["Bo."])
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert not (tmp_path / "out.jsonl.work").exists()
    (tmp_path / "in.csv").write_text("id,text\n1,Bo.\n")
    for model, columns in ((rules, Columns("body")), ("no/model", None)):
        with pytest.raises(ValueError, match=r"\[D(160|406)\]"):
            annotate(
                model, tmp_path / "in.csv", tmp_path / "out.jsonl", columns=columns, force=True
            )
        assert (tmp_path / "out.jsonl").read_bytes() == before
    assert run("out.jsonl", ["Bo."], force=True).records == 1
    assert not (tmp_path / "out.jsonl.failures.jsonl").exists()  # which was the other run's


def test_a_forced_run_that_is_stopped_goes_on(run, tmp_path: Path, monkeypatch) -> None:
    run("out.jsonl", ["Ann."])
    before = (tmp_path / "out.jsonl").read_bytes()
    stop(run, monkeypatch, force=True)
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert run("out.jsonl").records == 5
    assert len(json_lines(tmp_path / "out.jsonl")) == 3


def test_what_is_left_of_a_forced_run_is_no_run(run, tmp_path: Path, monkeypatch) -> None:
    """Stopped while it removes what an unfinished run has done."""
    from spacy_deeper.annotation import work_folder

    stop(run, monkeypatch)
    rmtree = work_folder.shutil.rmtree

    def once(path, **options):
        rmtree(path, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.shutil, "rmtree", once)
        with pytest.raises(KeyboardInterrupt):
            run("out.jsonl", force=True)
    assert run("out.jsonl").records == 5
    assert len(json_lines(tmp_path / "out.jsonl")) == 3


def test_a_forced_run_into_a_folder(run, tmp_path: Path, monkeypatch) -> None:
    run("parts", ["Ann."] * 9, to="jsonl")
    run("parts", to="jsonl", force=True)
    assert len(list((tmp_path / "parts").iterdir())) == 3
    (tmp_path / "file").write_text("old")
    run("file", to="jsonl", force=True)
    assert len(list((tmp_path / "file").iterdir())) == 3


def test_an_output_among_the_inputs(rules: str, code: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Ann."}\n')
    for name in ("out.jsonl", "out.spacy"):  # beside which there are .jsonl files, too
        with pytest.raises(ValueError, match=r"\[D426\]"):
            annotate(rules, tmp_path, tmp_path / name, code=code)


def test_an_input_where_the_run_writes(rules: str, code: Path, tmp_path: Path) -> None:
    """It outlives --force."""
    (tmp_path / "out.jsonl.work").mkdir()
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    (tmp_path / "folder").mkdir()
    for name, output in (
        ("out.jsonl", "out.jsonl"),
        ("out.jsonl", "link.jsonl"),
        ("out.jsonl.failures.jsonl", "out.jsonl"),
        ("out.jsonl.work/temp.jsonl", "out.jsonl"),
        ("folder/part-000000.jsonl", "folder"),
    ):
        path = tmp_path / name
        path.write_text('{"text": "Ann."}\n')
        for force in (False, True):
            with pytest.raises(ValueError, match=rf"\[D427\] .*{name}"):
                annotate(rules, path, tmp_path / output, to="jsonl", code=code, force=force)
        assert path.read_text() == '{"text": "Ann."}\n'
        path.unlink()


def test_nested_fields(rules: str, code: Path, tmp_path: Path) -> None:
    """What is nested so deeply that an output or a pipe could not hold it fails alone."""
    path = tmp_path / "in.jsonl"
    depths = (1, 99, 100, 300, 500, 900, 5000)
    lines = ['{"text": "Ann.", "a": %s}' % ("[" * n + "]" * n) for n in depths]
    path.write_text("\n".join(lines) + "\n")
    for name, options in (("a.jsonl", {}), ("a.spacy", {}), ("b.jsonl", {"n_process": 2})):
        done = annotate(rules, path, tmp_path / name, code=code, chunk_size=2, **options)
        assert (done.records, done.failures) == (7, 5)
    failed = json_lines(tmp_path / "a.jsonl.failures.jsonl")
    assert {row["reason"] for row in failed} == {"nested too deeply"}
    assert [row["raw"] for row in failed] == lines[2:]
    assert len(read_docs(tmp_path / "a.spacy")) == 2


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="its file names are Unicode")
def test_a_file_name_that_is_not_utf8(rules: str, code: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with open(os.fsencode(tmp_path / "in") + b"/a\xff.txt", "w") as file:
        file.write("Ann.")
    annotate(rules, tmp_path / "in", tmp_path / "out.jsonl", code=code)
    (record,) = json_lines(tmp_path / "out.jsonl")
    assert record["id"] == "a\\xff.txt"


def test_other_code_is_another_run(run, code: Path, tmp_path: Path, monkeypatch) -> None:
    own = tmp_path / "own.py"
    own.write_text(code.read_text())
    stop(run, monkeypatch, code=own)
    own.write_text(code.read_text() + "\n# changed\n")
    with pytest.raises(ValueError, match=r"\[D411\] .* its code differs"):
        run("out.jsonl", code=own)


def test_a_doc_that_an_output_can_not_hold(run, tmp_path: Path, monkeypatch) -> None:
    """It fails, and the others do not."""
    if not Doc.has_extension("seen"):
        Doc.set_extension("seen", default=None)
    pipe = Annotator._pipe

    def seen(self, batch):
        pairs = list(pipe(self, batch))
        for _, doc in pairs:
            doc._.seen = {1} if "Nobody" in doc.text else 1
        return pairs

    monkeypatch.setattr(Annotator, "_pipe", seen)
    assert run("out.jsonl").failures == 2
    assert run("out.spacy").failures == 3
    (failed,) = [row for row in json_lines(tmp_path / "out.spacy.failures.jsonl") if row["id"] == 1]
    assert "set" in failed["reason"]
    assert failed["text"] == "Nobody."


def test_a_carriage_return_in_an_entity(joint: str, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["New\rYork", "Ann"], ents=["B-Loc", "B-Per"])
    doc._.relations = [(*doc.ents, "R", 0.5)]
    data = OUTPUTS["triples"].encode([(Text(0, 0, doc.text, {}, "a", 1), doc)])
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter="\t"))
    assert [len(row) for row in rows] == [11, 11]
    assert rows[1][1] == "New\rYork"


def stop(run, monkeypatch, at: int = 2, **options) -> None:
    """Let a run fail at its third chunk, as when the disk is full."""
    from spacy_deeper.annotation.work_folder import WorkFolder

    save = WorkFolder.save

    def full(self, part):
        if part.number == at:
            raise OSError(28, "No space left on device")
        save(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "save", full)
        with pytest.raises(OSError, match="No space"):
            run("out.jsonl", **options)


def test_only_what_is_missing_is_done(run, tmp_path: Path, monkeypatch) -> None:
    run("expected.jsonl")
    stop(run, monkeypatch)
    seen = []
    call = Annotator.__call__
    monkeypatch.setattr(
        Annotator, "__call__", lambda self, chunk: seen.append(chunk.number) or call(self, chunk)
    )
    done = run("out.jsonl", batch_size=1)
    assert seen == [2]
    assert (done.records, done.failures, done.words, done.run_words) == (5, 2, 12, 4)
    for name in ("out.jsonl", "out.jsonl.failures.jsonl"):
        expected = (tmp_path / name.replace("out", "expected", 1)).read_bytes()
        assert (tmp_path / name).read_bytes() == expected


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("input", {"texts": ["Ann."]}),
        ("chunk size", {"chunk_size": 3}),
        ("model", {}),
    ],
)
def test_another_run_is_not_continued(run, joint, monkeypatch, what, options) -> None:
    stop(run, monkeypatch)
    if what == "model":
        options = {"model": joint}
    with pytest.raises(ValueError, match=rf"\[D411\] .* its {what} differs"):
        run("out.jsonl", **options)
    assert run("out.jsonl", force=True).records == 5


def test_other_columns_are_another_run(rules: str, code: Path, tmp_path, monkeypatch) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "Ann.", "body": "Bo."}\n' * 5)

    def run(output: str, **options) -> None:
        annotate(rules, path, tmp_path / output, code=code, chunk_size=2, **options)

    stop(run, monkeypatch)
    with pytest.raises(ValueError, match=r"\[D411\] .* its columns differs"):
        run("out.jsonl", columns=Columns("body"))


def test_an_input_that_changes(run, tmp_path: Path, monkeypatch) -> None:
    call = Annotator.__call__

    def change(self, chunk):
        with (tmp_path / "in.txt").open("a") as file:
            file.write("more\n")
        return call(self, chunk)

    monkeypatch.setattr(Annotator, "__call__", change)
    with pytest.raises(ValueError, match=r"\[D422\]"):
        run("out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_one_process_at_a_time(run, tmp_path: Path, monkeypatch) -> None:
    call = Annotator.__call__

    def twice(self, chunk):
        with pytest.raises(ValueError, match=r"\[D410\]"):
            run("out.jsonl")
        return call(self, chunk)

    monkeypatch.setattr(Annotator, "__call__", twice)
    assert run("out.jsonl").failures == 2


def test_a_joint_model_in_batches(joint: str, texts: list[str], tmp_path: Path) -> None:
    """Texts of a chunk are sorted, and come back in order; the docs are those of `nlp.pipe`."""
    settings = Settings(joint, "jsonl", batch_size=7)
    records = [Text(i, i, text, {}, "a", i + 1) for i, text in enumerate(texts[:50])]
    part = Annotator(settings)(Chunk(0, records))
    found = [json.loads(line) for line in part.data.decode().splitlines()]
    assert [record["text"] for record in found] == texts[:50]
    docs = list(spacy.load(joint).pipe(texts[:50]))
    for record, doc in zip(found, docs, strict=True):
        ents = [(ent["start"], ent["end"], ent["label"]) for ent in record["ents"]]
        assert ents == [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
        scores = [relation["score"] for relation in record["relations"]]
        assert scores == pytest.approx([r.score for r in doc._.relations], abs=1e-5)
    assert part.counts["relations"] > 50


def test_in_bf16(joint: str, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotator, "has_bf16", lambda: True)
    records = [Text(i, i, text, {}, "a", i + 1) for i, text in enumerate(texts[:20])]
    part = Annotator(Settings(joint, "jsonl", bf16=True, batch_size=20))(Chunk(0, records))
    found = [json.loads(line) for line in part.data.decode().splitlines()]
    nlp = spacy.load(joint)
    exact = [[r.score for r in doc._.relations] for doc in nlp.pipe(texts[:20])]
    by_length = sorted(range(20), key=lambda i: len(texts[i]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        docs = list(nlp.pipe([texts[i] for i in by_length]))
    scores = [[relation["score"] for relation in record["relations"]] for record in found]
    for i, doc in zip(by_length, docs, strict=True):
        assert scores[i] == pytest.approx([r.score for r in doc._.relations], abs=1e-6)
    assert scores != [pytest.approx(row, abs=1e-4) for row in exact]


@pytest.mark.parametrize("there", [True, False])
def test_bf16_is_what_the_processor_has(run, joint, texts, tmp_path, monkeypatch, there) -> None:
    run("exact.jsonl", texts[:20], joint)
    monkeypatch.setattr(devices, "has_bf16", lambda: there)
    monkeypatch.setattr(annotator, "has_bf16", lambda: there)
    with nullcontext() if there else pytest.warns(UserWarning, match="DW164"):
        run("out.jsonl", texts[:20], joint, bf16=True)
    same = (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "exact.jsonl").read_bytes()
    assert same is not there


def test_a_run_goes_on_in_its_precision(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(devices, "has_bf16", lambda: True)
    stop(run, monkeypatch)
    with pytest.raises(ValueError, match=r"\[D411\] .* its bf16 differs"):
        run("out.jsonl", bf16=True)
    manifest = tmp_path / "out.jsonl.work" / "manifest.json"
    begun = json.loads(manifest.read_text())
    assert begun.pop("bf16") is False
    manifest.write_text(json.dumps(begun))  # as it was before there was a choice
    assert run("out.jsonl").records == 5


@pytest.mark.skipif(not hasattr(spacy.Language, "memory_zone"), reason="needs spaCy 3.8")
def test_words_are_forgotten(joint: str) -> None:
    annotator = Annotator(Settings(joint, "jsonl", batch_size=10))
    sizes = []
    for number in range(5):
        texts = [f"Word{number}x{i} met Bo." for i in range(50)]
        records = [Text(i, i, text, {}, "a", i) for i, text in enumerate(texts)]
        assert annotator(Chunk(number, records)).counts["records"] == 50
        sizes.append(len(annotator.nlp.vocab.strings))
    assert sizes == [sizes[0]] * 5


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"n_process": 0}, r"\[D419\] --n-process"),
        ({"threads": 0}, r"\[D419\] --threads"),
        ({"engine": "spark"}, r"\[D420\] .*local, ray"),
        ({"engine": "ray", "gpu_id": 0}, r"\[D421\]"),
        ({"address": "10.0.0.1:6379"}, r"\[D430\] --address .* without --engine ray"),
        ({"columns": Columns("body")}, r"\[D430\] --text-column .* \.txt"),
        ({"columns": Columns(id="key")}, r"\[D430\] --id-column .* \.txt"),
        ({"bf16": True, "gpu_id": 0}, r"\[D166\]"),
        ({"gpu_id": 99}, r"\[D163\]"),
        ({"output": "out"}, r"\[D407\] .*--to"),
        ({"output": "out.conll"}, r"\[D407\]"),
        ({"output": "out.jsonl", "to": "spacy"}, r"\[D407\]"),
        ({"to": "conll"}, r"\[D101\]"),
        ({"model": "no/model"}, r"\[D160\]"),
        ({"code": Path("no.py")}, r"\[D408\] .*no.py"),
        ({"output": "in.txt/out.jsonl"}, r"\[D414\]"),
    ],
)
def test_errors(run, tmp_path: Path, options: dict, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        run(**{"output": "out.jsonl", **options})
    assert [at.name for at in tmp_path.iterdir() if at.name.startswith("out")] == []


def test_an_empty_input(rules: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"\[D423\] .*in.jsonl"):
        annotate(rules, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_pipeline_that_always_fails_is_stopped(run, rules: str, tmp_path: Path) -> None:
    """After the first chunk, not after all of them; and of that one nothing is kept."""
    texts = [f"FAIL {i}" for i in range(300)]
    with pytest.raises(ValueError, match=r"None of the first 150 .* RuntimeError: told to fail"):
        run("out.jsonl", texts, chunk_size=150)
    assert [at.name for at in tmp_path.iterdir() if at.name.startswith("out")] == []
    # Mended, the same command works: another pipeline in its place.
    nlp = spacy.load(rules)
    nlp.remove_pipe("saboteur")
    mended = tmp_path / "model"
    nlp.to_disk(mended)
    done = run("out.jsonl", texts, model=str(mended), chunk_size=150)
    assert (done.records, done.failures) == (300, 0)
    # It may have been the fault of the first documents only: smaller chunks tell.
    done = run("all.jsonl", [*texts, "Ann."], chunk_size=10)
    assert (done.records, done.failures) == (301, 300)


def test_many_empty_lines_are_no_fault_of_the_pipeline(run) -> None:
    done = run("out.jsonl", [*([""] * 200), "Ann."], chunk_size=150)
    assert (done.records, done.failures) == (201, 200)
