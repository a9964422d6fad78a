"""The findings: what the counts say, how grave it is, and what to do about it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from .data import FEW, Analysis, Duplicate, Finding, Level, Place, Signature, by_key
from .issues import ISSUES

MAX_REPEATS = 5  # documents of one text that the places of each of them name


def find_all(analysis: Analysis) -> Iterator[Finding]:
    yield from _find_nothing(analysis)
    yield _find_untyped(analysis)
    yield from _find_few(analysis)
    yield from _find_new_labels(analysis)
    yield from _find_signatures(analysis)
    for issue in ISSUES:
        if issue.name == "crossing_relations":
            yield from _find_no_sentences(analysis)
            if not any(split.relations_with_sentences for split in analysis.splits.values()):
                continue
        yield _find_noted(analysis, *issue)
    yield _find_partly_symmetric(analysis)
    yield from _find_duplicates(analysis)
    yield _find_mixed_types(analysis)
    yield from _find_unseen_pairs(analysis)
    yield from _find_balance(analysis)


def _find_nothing(analysis: Analysis) -> Iterator[Finding]:
    for split in analysis.splits.values():
        level: Level = "fail" if split is analysis.train else "warn"
        end = "can't begin" if split is analysis.train else "can't be judged by it"
        if not split.relations:
            advice = f"A training of relations {end}."
            if not split.docs_with_relations_set:
                advice += (
                    " No document had its relations set. In a .spacy file they live in the user "
                    "data: write it with `python -m spacy relations convert` or "
                    "DocBin(store_user_data=True)."
                )
            yield Finding(level, "no_relations", f"No relations in {split.name}", advice, {}, [])
        if not split.ents:
            advice = f"A training of entities {end}. Set doc.ents."
            text = f"No entities in doc.ents in {split.name}"
            yield Finding(level, "no_ents", text, advice, {}, [])


def _find_untyped(analysis: Analysis) -> Finding:
    level: Level = "fail" if "untyped_arguments" in analysis.train.noted else "warn"
    advice = (
        "A training stops at them. Put them into doc.ents, or give the relation's spans a label, "
        "and set the relations after that."
    )
    what = "relation arguments without an entity type"
    return _find_noted(analysis, "untyped_arguments", level, what, advice)


def _find_few(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    for what, counts in (("entity", train.ents), ("relation", train.relations)):
        few = {label: n for label, n in by_key(counts).items() if n < FEW}
        name = f"few_{what}_examples"
        if few:
            text = f"{what.title()} labels with fewer than {FEW} examples in {train.name}"
            advice = "Annotate more of them, or expect low and uncertain scores for these labels."
            yield Finding("warn", name, f"{text}: {_labels(few)}", advice, few, [])
        elif counts:
            text = f"All {what} labels have {FEW} examples or more in {train.name}"
            yield Finding("good", name, text, "", {}, [])


def _find_new_labels(analysis: Analysis) -> Iterator[Finding]:
    for name, beside in analysis.comparisons.items():
        new = {"entity": beside.new_ents, "relation": beside.new_relations}
        for what, counts in new.items():
            if counts:
                text = f"{what.title()} labels in {name} only: {_labels(counts)}"
                advice = (
                    "A training runs, but never learns them, and every one is an error in its "
                    "scores. Look for a spelling of its own, or split the data anew."
                )
                yield Finding("warn", f"new_{what}_labels", text, advice, counts, [])
        if not any(new.values()):
            text = f"All labels of {name} are in {analysis.train.name}"
            yield Finding("good", "new_labels", text, "", {}, [])
        if beside.relations and beside.missing_relations:
            text = f"Relation labels without an example in {name}: "
            advice = "Its scores say nothing about them."
            labels = beside.missing_relations
            yield Finding("warn", "missing_labels", text + ", ".join(labels), advice, {}, [])


def _find_signatures(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    if not train.signatures:
        return
    what = f"signatures (head type, label, tail type) with fewer than {analysis.rare} relations"
    rare = {k: n for k, n in train.signatures.most_common() if n < analysis.rare}
    if rare:
        advice = (
            "Too few to learn from, and perhaps mistakes: look at them with --verbose, above all "
            "where the same types are mostly related the other way round."
        )
        text = f"{what[0].upper()}{what[1:]}: {len(rare)} in {train.name}"
        places = [
            train.place(doc, detail + _mirrored(train.signatures, signature))
            for signature in rare
            for doc, detail in train.signature_docs[signature]
        ]
        yield Finding("warn", "rare_signatures", text, advice, {train.name: len(rare)}, places)
    else:
        yield Finding("good", "rare_signatures", f"No {what} in {train.name}", "", {}, [])
    for name, beside in analysis.comparisons.items():
        new = beside.new_signatures
        if new:
            text = f"Signatures in {name} only: {len(new)}, of relations: {new.total()}"
            advice = f"A model learns nothing of the kind from {train.name}."
            split = analysis.splits[name]
            places = [split.place(*at) for key in new for at in split.signature_docs[key]]
            yield Finding("warn", "new_signatures", text, advice, {name: len(new)}, places)
        elif beside.relations:
            text = f"All signatures of {name} are in {train.name}"
            yield Finding("good", "new_signatures", text, "", {}, [])


def _mirrored(signatures: Counter[Signature], signature: Signature) -> str:
    head, label, tail = signature
    count = signatures[tail, label, head]
    return f" (the other way round: {count})" if head != tail and count else ""


def _find_no_sentences(analysis: Analysis) -> Iterator[Finding]:
    without = {
        name: split.relations.total() - split.relations_with_sentences
        for name, split in analysis.splits.items()
    }
    if any(without.values()):
        text = f"Relations in documents without sentence boundaries: {_counted(without)}"
        advice = (
            "Whether these cross sentences can't be told. If documents are longer than a sentence, "
            "set boundaries before saving, for example with spaCy's sentencizer."
        )
        yield Finding("info", "no_sentences", text, advice, without, [])


def _find_partly_symmetric(analysis: Analysis) -> Finding:
    counts: dict[str, int] = {}
    said = []
    places = []
    for name, split in analysis.splits.items():
        partly = {k: n for k, n in by_key(split.symmetric).items() if 2 * n < split.relations[k]}
        counts[name] = sum(partly.values())
        for label, n in partly.items():
            said.append(f"{label} ({name}: {n} of {split.relations[label] - n} pairs)")
        places += [split.place(*at) for at in split.noted["symmetric_pairs"]] if partly else []
    what = "labels that stand in both directions of some of their pairs"
    if not said:
        return Finding("good", "partly_symmetric", f"No {what}", "", counts, [])
    advice = (
        "Each direction is learned by itself. If a label has no direction, annotate both of them "
        "always, or one by a fixed rule; if it has, one of the two is a mistake."
    )
    text = f"{what[0].upper()}{what[1:]}: {', '.join(said)}"
    return Finding("warn", "partly_symmetric", text, advice, counts, places)


def _find_duplicates(analysis: Analysis) -> Iterator[Finding]:
    repeats, names = analysis.repeats, list(analysis.splits)
    within = {name: repeats[name][name] for name in names}
    groups = [g for g in analysis.duplicates if any(len(docs) > 1 for docs in g.docs.values())]
    yield _finding(
        "duplicates",
        "warn",
        "documents that repeat the text of another one of their split",
        "They weigh more than others in training and in scores. Remove them, or know why not.",
        within,
        list(_places(analysis, groups, inside=True)),
    )
    for i, name in enumerate(names):
        for other in names[:i]:
            groups = [g for g in analysis.duplicates if {name, other} <= g.docs.keys()]
            yield _finding(
                f"duplicates_{name}_{other}",
                "warn",
                f"documents of {name} whose text stands in {other}",
                f"Scores on {name} are too good by what is learned by heart. Remove them from one "
                "of the two, or report scores with and without them.",
                {name: repeats[name][other]},
                list(_places(analysis, groups, only=(name, other))),
            )
    groups = [group for group in analysis.duplicates if not group.same_annotation]
    yield _finding(
        "contradictions",
        "warn",
        "texts that stand there more than once, annotated in different ways",
        "One of the annotations is wrong, or incomplete. Correct it.",
        {"all": len(groups)} if len(names) > 1 else {names[0]: len(groups)},
        list(_places(analysis, groups)),
    )


def _places(
    analysis: Analysis, groups: Iterable[Duplicate], only: Iterable[str] = (), inside: bool = False
) -> Iterator[Place]:
    only = set(only) or set(analysis.splits)
    for group in groups:
        at = ((name, doc) for name, docs in group.docs.items() for doc in docs if name in only)
        where = [(name, doc) for name, doc in at if not inside or len(group.docs[name]) > 1]
        detail = "same text: " + ", ".join(f"{name} {doc}" for name, doc in where[:MAX_REPEATS])
        if len(where) > MAX_REPEATS:
            detail += f", ... ({len(where)} documents)"
        for name, doc in where:
            yield analysis.splits[name].place(doc, detail)


def _find_mixed_types(analysis: Analysis) -> Finding:
    places = []
    counts = {}
    for name, split in analysis.splits.items():
        mixed = split.mixed_types()
        counts[name] = len(mixed)
        for text, types in sorted(mixed.items()):
            rarest = types.most_common()[-1][0]
            detail = f"{text}: {_labels(dict(types.most_common()))}; {rarest or 'no type'} here"
            places.append(split.place(split.first_docs[text, rarest], detail))
    advice = "Often right ('Washington'), sometimes a slip: look at the rarer type with --verbose."
    what = "entity texts with more than one type"
    return _finding("mixed_types", "info", what, advice, counts, places)


def _find_unseen_pairs(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train.name
    for name, beside in analysis.comparisons.items():
        if not beside.relations:
            continue
        text = (
            f"Entity pairs of {name} that are not related in {train}: {beside.unseen_pairs} of "
            f"{beside.pairs}, of relations: {beside.relations_of_unseen_pairs} of "
            f"{beside.relations} ({_percent(beside.relations_of_unseen_pairs, beside.relations)})"
        )
        advice = (
            f"Relations with the entity texts and the label of one in {train}, which can be "
            f"learned by heart: {beside.known_relations}."
        )
        counts = {name: beside.unseen_pairs}
        yield Finding("info", "unseen_pairs", text, advice, counts, [])


def _find_balance(analysis: Analysis) -> Iterator[Finding]:
    train = analysis.train
    if train.related_pairs:
        share = _percent(train.related_pairs, train.pairs)
        text = (
            f"Related pairs in {train.name}: {train.related_pairs} of {train.pairs} ordered pairs "
            f"of entities ({share})"
        )
        advice = "If very few are, a threshold below 0.5 may serve better."
        yield Finding("info", "balance", text, advice, {train.name: train.related_pairs}, [])


def _find_noted(analysis: Analysis, name: str, level: Level, what: str, advice: str) -> Finding:
    noted = {split.name: split.noted.get(name, []) for split in analysis.splits.values()}
    places = [analysis.splits[split].place(*at) for split, found in noted.items() for at in found]
    counts = {split: len(found) for split, found in noted.items()}
    return _finding(name, level, what, advice, counts, places)


def _finding(
    name: str, level: Level, what: str, advice: str, counts: dict[str, int], places: list[Place]
) -> Finding:
    if not any(counts.values()):
        return Finding("good", name, f"No {what}", "", counts, [])
    text = f"{what[0].upper()}{what[1:]}: {_counted(counts)}"
    return Finding(level, name, text, advice, counts, places)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {name}" for name, count in counts.items() if count)


def _labels(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label or 'no type'} ({count})" for label, count in counts.items())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
