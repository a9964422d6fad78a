"""The ADE corpus' `DRUG-AE.rel`: an adverse effect, a drug, and that it causes it, on each line.

    10030778|Intravenous azithromycin-induced ototoxicity.|ototoxicity|43|54|azithromycin|22|34

These are the PubMed id, a sentence, and an effect and a drug with their begins and ends, which
count from the begin of the abstract. So the two are found in the sentence by their texts and by the
distance between them; and if that leaves a choice, by the begin of the sentence that all its lines
have in common. The lines of one sentence make one document, in the place of the first of them; the
file is held in memory for that.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from ...errors import Errors
from ..records import Entity, Link, Record
from ..report import Place, Report
from .util import Source

EFFECT, DRUG = "Adverse-Effect", "Drug"
FIELDS = 8


class Line(NamedTuple):
    """A relation: the texts of its arguments, and where the abstract has them."""

    at: Place
    id: str
    effect: str
    effect_start: int
    drug: str
    drug_start: int


def parse(source: Source, report: Report) -> Iterator[Record]:
    """Parse the sentences of a DRUG-AE.rel file."""
    sentences: dict[str, list[Line]] = {}
    for number, text in source.lines():
        if text.strip():
            sentence, line = _parse_line(text, source.at(f"line {number}"))
            sentences.setdefault(sentence, []).append(line)
    for sentence, lines in sentences.items():
        yield _to_record(sentence, lines, report)


def _parse_line(text: str, at: Place) -> tuple[str, Line]:
    fields = text.split("|")
    try:
        id, sentence, effect, effect_start, effect_end, drug, drug_start, drug_end = fields
        offsets = [int(offset) for offset in (effect_start, effect_end, drug_start, drug_end)]
    except ValueError:
        raise ValueError(Errors.D140.format(where=at, line=text[:60])) from None
    if not (
        effect.strip() and drug.strip() and 0 <= offsets[0] < offsets[1] and offsets[2] < offsets[3]
    ):
        raise ValueError(Errors.D140.format(where=at, line=text[:60]))
    return sentence, Line(at, id, effect, offsets[0], drug, offsets[2])


def _to_record(sentence: str, lines: list[Line], report: Report) -> Record:
    record = Record(lines[0].at, text=sentence, id=lines[0].id)
    found = [_find(sentence, line) for line in lines]
    # Where the sentence would begin in the abstract, by each way to place each line.
    begins = Counter(
        (line.id, begin)
        for line, pairs in zip(lines, found, strict=True)
        for begin in {line.effect_start - effect for effect, _ in pairs}
    )
    for line, pairs in zip(lines, found, strict=True):
        item = f"{line.effect} --{EFFECT}--> {line.drug}"
        if not pairs:
            reason = "an argument is not in the sentence"
            report.dropped(line.at, "relations", item, reason, read=1)
            continue
        distance = line.drug_start - line.effect_start
        effect, drug = min(
            pairs,
            key=lambda pair: (
                abs(pair[1] - pair[0] - distance),
                -begins[line.id, line.effect_start - pair[0]],
            ),
        )
        if drug - effect != distance:
            reason = "its arguments are not as far apart as it says: the nearest taken"
            report.repaired(line.at, "relations", item, reason)
        name = f"relation of {line.at.place}"
        keys: list[Hashable] = []
        for start, text, label in ((effect, line.effect, EFFECT), (drug, line.drug, DRUG)):
            key = (start, start + len(text), label)
            keys.append(key)
            # That a line names an entity of another line again is how the format works.
            record.entities.setdefault(key, Entity(*key, f"{label} of {line.at.place}"))
        record.relations.append(Link(keys[0], keys[1], EFFECT, name))
    return record


def _find(sentence: str, line: Line) -> list[tuple[int, int]]:
    """Return where the effect and the drug begin in the sentence, all ways to place them."""
    effects, drugs = (
        # The lookahead finds matches that overlap, too.
        [match.start() for match in re.finditer(f"(?={re.escape(text)})", sentence)]
        for text in (line.effect, line.drug)
    )
    return [(effect, drug) for effect in effects for drug in drugs]
