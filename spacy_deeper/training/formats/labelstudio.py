"""Label Studio's JSON export of a project with labels and relations: a list of tasks.

    [{"id": 7, "data": {"text": "Ann left Oslo"},
      "annotations": [{"was_cancelled": false, "result": [
        {"type": "labels", "id": "a", "from_name": "label", "to_name": "text",
         "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["Per"]}},
        {"type": "labels", "id": "b", "from_name": "label", "to_name": "text",
         "value": {"start": 9, "end": 13, "text": "Oslo", "labels": ["Loc"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right",
         "labels": ["Left"]}]}]}]

Old exports say `completions` for `annotations`. A direction can be "right", "left" or "bi". A task
has an annotation from each annotator: of those that were not cancelled, the ground truth counts, or
else the first. Label Studio may count UTF-16 units where we count characters: the text of each
region tells.
"""

from collections.abc import Iterator
from typing import Any

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import Keys, Source, check_keys, json_records

TASK: Keys = {"data": (dict,)}
TASK_OPTIONAL: Keys = {"id": (int, str), "annotations": (list,), "completions": (list,)}
ANNOTATION: Keys = {"result": (list,)}
RESULT: Keys = {"type": (str,)}
REGION: Keys = {"id": (str,), "value": (dict,)}
VALUE: Keys = {"start": (int,), "end": (int,)}
VALUE_OPTIONAL: Keys = {"labels": (list,), "text": (str,)}
RELATION: Keys = {"from_id": (str,), "to_id": (str,)}
RELATION_OPTIONAL: Keys = {"labels": (list,), "direction": (str, type(None))}


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the tasks of a Label Studio export."""
    for at, task in json_records(source):
        check_keys(task, TASK, at, TASK_OPTIONAL)
        if "id" in task:
            at = at.within(f"task {task['id']}")
        annotation = _choose(task.get("annotations", task.get("completions", [])), at, report)
        if annotation is not None:
            record = Record(at, _get_text(task["data"], at), id=task.get("id"))
            for i, item in enumerate(annotation["result"]):
                check_keys(item, RESULT, at.within(f"result {i}"))
                if item["type"] == "labels":
                    _add_entities(record, item, at.within(f"result {i}"), report)
                elif item["type"] != "relation":
                    place = at.within(f"result {i}")
                    reason = "no entity or relation"
                    report.ignored(place, "results", f"type {item['type']}", reason)
            regions = {item.get("id") for item in annotation["result"]}
            for i, item in enumerate(annotation["result"]):
                if item["type"] == "relation":
                    _add_relations(record, item, regions, f"result {i}", report)
            yield record


def _choose(annotations: list[Any], at: Place, report: Report) -> dict[str, Any] | None:
    usable = []
    for i, annotation in enumerate(annotations):
        here = at.within(f"annotation {i}")
        check_keys(annotation, ANNOTATION, here)
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            report.ignored(here, "annotations", f"annotation {i}", "was cancelled")
        else:
            usable.append((i, annotation))
    if not usable:
        report.ignored(at, "documents", at.place, "no annotation that was not cancelled", read=1)
        return None
    chosen = next((pair for pair in usable if pair[1].get("ground_truth")), usable[0])
    for i, annotation in usable:
        if annotation is not chosen[1]:
            reason = "the task has another one, the ground truth or the first"
            report.dropped(at.within(f"annotation {i}"), "annotations", f"annotation {i}", reason)
    return chosen[1]


def _get_text(data: dict[str, Any], at: Place) -> str:
    texts = [data["text"]] if "text" in data else list(data.values())
    texts = [text for text in texts if isinstance(text, str)]
    if len(texts) != 1:
        raise ValueError(Errors.D147.format(where=at, known=", ".join(data)))
    return texts[0]


def _add_entities(record: Record, item: dict[str, Any], at: Place, report: Report) -> None:
    check_keys(item, REGION, at)
    value = item["value"]
    check_keys(value, VALUE, at, VALUE_OPTIONAL)
    if item["id"] in record.entities:
        raise ValueError(Errors.D149.format(where=at, id=item["id"]))
    start, end = _find(record.text or "", value, at, report)
    labels = _get_labels(value, at)
    name = f"region {item['id']}"
    if not labels:
        mention = (record.text or "")[max(start, 0) : max(end, 0)]
        report.dropped(at, "entities", mention, "no label", read=1)
    for i, label in enumerate(labels):
        # Relations name the region: they mean the first of several labels.
        key = (item["id"], i) if i else item["id"]
        record.entities[key] = Entity(start, end, label, name)


def _find(text: str, value: dict[str, Any], at: Place, report: Report) -> tuple[int, int]:
    """Return the offsets of a region in characters."""
    start, end, mention = value["start"], value["end"], value.get("text")
    if mention is None or text[max(start, 0) : max(end, 0)] == mention:
        return start, end
    units = text.encode("utf-16-le", "surrogatepass")
    before, inside = units[: 2 * max(start, 0)], units[2 * max(start, 0) : 2 * max(end, 0)]
    if inside.decode("utf-16-le", "replace") == mention:
        start = len(before.decode("utf-16-le", "replace"))
        report.repaired(at, "entities", mention, "its offsets count UTF-16 units")
        return start, start + len(mention)
    if " ".join(text[max(start, 0) : max(end, 0)].split()) == " ".join(mention.split()):
        return start, end  # Label Studio writes line breaks in many ways.
    if start < 0 or end > len(text):
        return start, end  # which is an error of its own
    raise ValueError(
        Errors.D119.format(where=at, start=start, end=end, found=text[start:end], mention=mention)
    )


def _add_relations(
    record: Record, item: dict[str, Any], regions: set[Any], name: str, report: Report
) -> None:
    at = record.at.within(name)
    check_keys(item, RELATION, at, RELATION_OPTIONAL)
    head, tail = item["from_id"], item["to_id"]
    direction = item.get("direction") or "right"
    if direction not in ("right", "left", "bi"):
        raise ValueError(Errors.D120.format(where=at, direction=direction))
    labels = _get_labels(item, at)
    if not labels:
        report.dropped(at, "relations", f"{head} → {tail}", "no label", read=1)
    if any(end in regions and end not in record.entities for end in (head, tail)):
        for label in labels:  # a region without a label, or an image's
            text = f"{head} --{label}--> {tail}"
            report.dropped(at, "relations", text, "an argument is no entity", read=1)
        return
    for label in labels:
        if direction != "left":
            record.relations.append(Link(head, tail, label, name))
        if direction != "right":
            record.relations.append(Link(tail, head, label, name))
        if direction == "bi":
            item_text = f"{head} --{label}--> {tail}"
            report.repaired(at, "relations", item_text, "has both directions: made two relations")


def _get_labels(value: dict[str, Any], at: Place) -> list[str]:
    labels = value.get("labels", [])
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(Errors.D122.format(where=at))
    return labels
