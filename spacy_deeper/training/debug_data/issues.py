"""What is noted of single docs while they are read, and what the findings say about it."""

from typing import NamedTuple

from .data import Level


class Issue(NamedTuple):
    """What is noted of single docs: its name there, the finding's level, words and advice."""

    name: str
    level: Level
    what: str
    advice: str


ISSUES = (
    Issue(
        "empty_docs",
        "warn",
        "documents without text",
        "Nothing is learned from them. Remove them.",
    ),
    Issue(
        "unannotated_docs",
        "warn",
        "documents without any annotation",
        "No entities were ever set on them, not even none. The tagger skips them, but the relation "
        "model and the scores take them for texts without relations. Annotate or remove them.",
    ),
    Issue(
        "relations_not_set",
        "warn",
        "documents with entities whose relations were never set",
        "They count as texts without relations. If that is right, assign doc._.relations = []; if "
        "their relations are not annotated yet, remove them.",
    ),
    Issue(
        "space_boundaries",
        "warn",
        "entities that begin or end with white space",
        "Move their boundaries: white space aligns to no other tokenization.",
    ),
    Issue(
        "punct_boundaries",
        "warn",
        "entities that begin or end with a punctuation token",
        "Fine where it belongs to the name, as in 'Inc .'. Move the boundary where it does not, as "
        "the scores ask for exact ones.",
    ),
    Issue(
        "wordless_entities",
        "warn",
        "entities of nothing but white space or punctuation",
        "Most likely a slip of the annotation. Remove them.",
    ),
    Issue(
        "arguments_overlapping_ents",
        "warn",
        "relation arguments that overlap an entity of doc.ents",
        "The tagger can't learn overlapping entities, so their relations are out of reach end to "
        "end. Keep one of the two, or expect a loss of recall.",
    ),
    Issue(
        "arguments_not_in_ents",
        "warn",
        "relation arguments that are not in doc.ents",
        "The relation model learns from them, but the tagger does not, and will not find them. Add "
        "them to doc.ents.",
    ),
    Issue(
        "other_types",
        "warn",
        "relation arguments with another type than in doc.ents",
        "Both count as entities in training, and strict scores want the relation's. Give them one.",
    ),
    Issue(
        "overlapping_pairs",
        "warn",
        "relations whose head and tail overlap",
        "The tagger finds at most one of the two, so they are out of reach end to end.",
    ),
    Issue(
        "overlapping_spans",
        "warn",
        "overlapping spans in doc.spans",
        "They overlap each other or doc.ents. The components read doc.ents alone, so what is only "
        "in doc.spans is not learned.",
    ),
    Issue(
        "crossing_relations",
        "info",
        "relations that cross sentences",
        "Train on whole documents: if texts are cut into sentences, these relations are lost.",
    ),
    Issue(
        "inverse_pairs",
        "info",
        "pairs with one label there and another back",
        "The model scores every direction and label. If one label is always the inverse of "
        "another, it is enough to learn one of them.",
    ),
    Issue(
        "several_labels",
        "info",
        "pairs with several labels in one direction",
        "The model can find all of them; each label is scored by itself.",
    ),
)
