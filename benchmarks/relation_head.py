"""The relation part alone, by the number of entities in a document."""

from typing import Any

from spacy.tokens import Doc

from .data import head_input, with_entities
from .report import Table
from .setup import Setup
from .timing import exponent, threads

ENTITIES = (2, 10, 50, 100, 200, 500)
NOTE = """Milliseconds for one document, a third of whose tokens are entities. `head`: equations 4
to 6 for all ordered pairs. `component`: all of `relation_scorer`, from its BiRNN layers to
`doc._.relations`. The exponent is that of the number of entities, fitted from 50 on."""


def run(setup: Setup) -> list[Table]:
    """Measure the head, and the component with it."""
    numbers = ENTITIES[:3] if setup.quick else ENTITIES
    docs = [prepared(setup, number) for number in numbers]
    tables = []
    for number in setup.threads:
        with threads(number):
            rows = [measure(setup, doc) for doc in docs]
        large = [i for i, n in enumerate(numbers) if n >= 50] if len(numbers) > 3 else range(3)
        sizes = [numbers[i] for i in large]
        fits = [exponent(sizes, [rows[i][column] for i in large]) for column in (4, 5)]
        tables.append(
            Table(
                title=f"Relations by entities, {number} thread(s)",
                columns=["entities", "tokens", "pairs", "relations", "head, ms", "component, ms"],
                rows=[*rows, ["exponent", "", "", "", *fits]],
                note=NOTE,
            )
        )
    return tables


def prepared(setup: Setup, n_entities: int) -> Doc:
    """Return a doc with entities and the shared layers' states."""
    doc = with_entities(setup.bare, setup.docs, n_entities)
    tok2vec = setup.bare.get_pipe("tok2vec")
    tok2vec.set_annotations([doc], tok2vec.predict([doc]))
    return doc


def measure(setup: Setup, doc: Doc) -> list[Any]:
    """Return a row of the table."""
    scorer: Any = setup.bare.get_pipe("relation_scorer")
    head = scorer.model.get_ref("output_layer")
    number = len(doc.ents)
    inputs = head_input(head, number)
    seconds = setup.timer.compare(
        {
            "head": lambda: head.predict(inputs),
            "component": lambda: scorer(doc),
        }
    )
    relations = len(doc._.relations)
    milliseconds = [1000 * seconds[name] for name in ("head", "component")]
    return [number, len(doc), number * (number - 1), relations, *milliseconds]
