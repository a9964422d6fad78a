"""doccano's JSON lines of a project with relations: a text on each line.

{"id": 7, "text": "Ann left Oslo",
 "entities": [{"id": 1, "label": "Per", "start_offset": 0, "end_offset": 3},
              {"id": 2, "label": "Loc", "start_offset": 9, "end_offset": 13}],
 "relations": [{"id": 5, "from_id": 1, "to_id": 2, "type": "Left"}]}
"""

from collections.abc import Iterator

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Report
from .util import Keys, Source, check_keys, json_records

RECORD: Keys = {"text": (str,), "entities": (list,)}
OPTIONAL: Keys = {"id": (int, str), "relations": (list,)}
ENTITY: Keys = {"id": (int,), "label": (str,), "start_offset": (int,), "end_offset": (int,)}
RELATION: Keys = {"id": (int,), "from_id": (int,), "to_id": (int,), "type": (str,)}


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the texts of a doccano export."""
    for at, value in json_records(source):
        check_keys(value, RECORD, at, OPTIONAL)
        record = Record(at, value["text"], id=value.get("id"))
        for i, entity in enumerate(value["entities"]):
            check_keys(entity, ENTITY, at.within(f"entity {i}"))
            name = f"entity with the id {entity['id']}"
            if entity["id"] in record.entities:
                raise ValueError(Errors.D146.format(where=at.within(name)))
            start, end = entity["start_offset"], entity["end_offset"]
            record.entities[entity["id"]] = Entity(start, end, entity["label"], name)
        for i, relation in enumerate(value.get("relations", ())):
            check_keys(relation, RELATION, at.within(f"relation {i}"))
            head, tail, label = relation["from_id"], relation["to_id"], relation["type"]
            name = f"relation with the id {relation['id']}"
            record.relations.append(Link(head, tail, label, name))
        yield record
