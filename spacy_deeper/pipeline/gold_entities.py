"""What an example teaches `relation_scorer`."""

from collections.abc import Iterable

from spacy.tokens import Doc, Span
from spacy.training import Example

from ..errors import Errors
from ..relations import entity_spans, get_relations


class GoldEntities:
    """The gold entities of an example, where they lie in its predicted doc, and their relations.

    spans: The entities of the reference doc, then those of `others` that are none.
    n_gold (int): How many are of the reference doc.
    first, last (List[int]): The predicted tokens in which each of them begins and ends.
    relations: (head, tail, label) with indices into `spans`.
    """

    def __init__(self, example: Example, others: Iterable[Span] = ()) -> None:
        """Align the gold entities.

        others: Entities of the predicted doc, right or wrong.
        """
        self.spans: list[Span] = []
        self.first: list[int] = []
        self.last: list[int] = []
        # The two docs may be tokenized differently: the last of the aligned tokens counts.
        # Only white space aligns to none.
        for span in typed_entity_spans(example.reference):
            aligned = example.alignment.y2x[span.start : span.end]
            if len(aligned):
                self.spans.append(span)
                self.first.append(int(aligned.min()))
                self.last.append(int(aligned.max()))
        self.n_gold = len(self.spans)
        index = {_key(span): i for i, span in enumerate(self.spans)}
        self.relations = [
            (index[_key(head)], index[_key(tail)], label)
            for head, tail, label, _ in get_relations(example.reference)
            if _key(head) in index and _key(tail) in index
        ]
        labels = (span.label_ for span in self.spans)
        known = set(zip(self.first, self.last, labels, strict=True))
        for span in others:
            if (span.start, span.end - 1, span.label_) not in known:
                self.spans.append(span)
                self.first.append(span.start)
                self.last.append(span.end - 1)


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label_


def typed_entity_spans(doc: Doc) -> list[Span]:
    """Return the entities of a gold doc, or raise if one has no type, which no tag stands for."""
    spans = entity_spans(doc)
    for span in spans:
        if not span.label_:
            raise ValueError(Errors.D214.format(span=span.text, text=doc.text[:100]))
    return spans
