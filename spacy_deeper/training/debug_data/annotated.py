"""A doc's entities and relations as what can be counted."""

from typing import NamedTuple

from spacy.tokens import Doc, Span

from ...relations import get_relations
from .data import Signature


class Entity(NamedTuple):
    """An entity by its tokens and type, its text with single spaces."""

    start: int
    end: int
    label: str
    text: str

    @property
    def at(self) -> tuple[int, int]:
        return self.start, self.end

    def __str__(self) -> str:
        return f"{self.text} [{self.label or 'no type'}]"


class Relation(NamedTuple):
    """A relation of such entities, by its label."""

    head: Entity
    tail: Entity
    label: str

    @property
    def signature(self) -> Signature:
        return self.head.label, self.label, self.tail.label

    def __str__(self) -> str:
        return f"{self.head} --{self.label}--> {self.tail}"


class Annotated:
    """A doc's annotation, with the texts of its entities cut out but once."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.text = doc.text
        self.ents = [self._entity(ent) for ent in doc.ents]
        self.relations = [
            Relation(self._entity(head), self._entity(tail), label)
            for head, tail, label, _ in get_relations(doc)
        ]
        self.arguments = list(dict.fromkeys(entity for r in self.relations for entity in r[:2]))
        self.entities = list(dict.fromkeys([*self.ents, *self.arguments]))

    def _entity(self, span: Span) -> Entity:
        text = " ".join(self.text[span.start_char : span.end_char].split())
        return Entity(span.start, span.end, span.label_, text)


def overlap(one: Entity, other: Entity) -> bool:
    return one.start < other.end and other.start < one.end
