"""The trainable component `relation_scorer`: relations between the entities of a doc."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats3d, Ints2d

from ..errors import Errors, Warnings
from ..models.relation_model import RelationInT, together
from ..relations import get_relations, has_relations, install_extension, set_relations
from ..schemes import bio
from .committee import check_committee
from .default_model import default_model
from .gold_entities import GoldEntities, typed_entity_spans
from .loss import Reduction, loss_scale, relation_loss
from .settings import change, changed, not_negative, probabilities, probability

DEFAULT_MODEL = default_model("""
[model]
@architectures = "spacy_deeper.RelationModel.v1"
label_embedding = 25

[model.head]
@layers = "spacy_deeper.RelationHead.v1"
hidden_size = 128
activation = "relu"
""")


@Language.factory(
    "relation_scorer",
    requires=["doc.ents"],
    assigns=["doc._.relations"],
    default_config={
        "model": DEFAULT_MODEL,
        "threshold": 0.5,
        "label_thresholds": None,
        "loss_weight": 1.0,
        "loss_reduction": "mean",
        "label_smoothing": 0.0,
        "negative_weight": 1.0,
        "focal_gamma": 0.0,
        "entity_noise": 0.0,
        "predicted_entities": False,
        "scorer": {"@scorers": "spacy_deeper.relation_scorer.v1"},
    },
    default_score_weights={
        "rel_micro_f": 1.0,
        "rel_micro_p": 0.0,
        "rel_micro_r": 0.0,
        "rel_macro_f": 0.0,
        "rel_per_type": None,
    },
)
def make_relation_scorer(
    nlp: Language,
    name: str,
    model: Model[RelationInT, list[Floats3d]],
    threshold: float,
    label_thresholds: dict[str, float] | None,
    loss_weight: float,
    loss_reduction: Reduction,
    label_smoothing: float,
    negative_weight: float,
    focal_gamma: float,
    entity_noise: float,
    predicted_entities: bool,
    scorer: Callable | None,
) -> "RelationScorer":
    """Create a `RelationScorer`; see there for the settings."""
    return RelationScorer(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        label_thresholds=label_thresholds,
        loss_weight=loss_weight,
        loss_reduction=loss_reduction,
        label_smoothing=label_smoothing,
        negative_weight=negative_weight,
        focal_gamma=focal_gamma,
        entity_noise=entity_noise,
        predicted_entities=predicted_entities,
        scorer=scorer,
    )


class RelationScorer(TrainablePipe):
    """Scores every ordered pair of `doc.ents`, whoever set them: section 3.3 of Crone (2020).

    model: Scores pairs of entities (`spacy_deeper.RelationModel.v1`).
    threshold (float): θ: a relation is predicted if its score exceeds it.
    label_thresholds (Optional[Dict[str, float]]): A θ of its own for some of the relation labels.
    loss_weight (float): λ, the weight of this loss beside those of other components.
    loss_reduction: The loss is the binary cross-entropy of every pair and label, as "mean" over
        them, as the sum of each "doc" averaged over docs, or as "sum". λ and this belong together.
    label_smoothing, negative_weight, focal_gamma (float): Another loss than the paper's, see
        `relation_loss`.
    entity_noise (float): The share of gold entities whose type is another one, or none, each time
        they are trained with: at inference it is predicted, and may be wrong.
    predicted_entities (bool): Whether to train also with entities that are predicted and wrong;
        they have no relation. Needs `[training] annotating_components` to name their component.
    scorer: Compares predicted and gold relations.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[RelationInT, list[Floats3d]],
        name: str = "relation_scorer",
        *,
        threshold: float = 0.5,
        label_thresholds: Mapping[str, float] | None = None,
        loss_weight: float = 1.0,
        loss_reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        negative_weight: float = 1.0,
        focal_gamma: float = 0.0,
        entity_noise: float = 0.0,
        predicted_entities: bool = False,
        scorer: Callable | None = None,
    ) -> None:
        install_extension()
        loss_scale(loss_reduction, 1, 1)  # complains of an unknown one
        self.vocab = vocab
        self.model = model
        self.name = name
        self.loss_weight = not_negative("loss_weight", loss_weight)
        self.loss_reduction = loss_reduction
        self.label_smoothing = probability("label_smoothing", label_smoothing)
        self.negative_weight = not_negative("negative_weight", negative_weight)
        self.focal_gamma = not_negative("focal_gamma", focal_gamma)
        self.entity_noise = probability("entity_noise", entity_noise)
        self.predicted_entities = predicted_entities
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"labels": [], "entity_labels": []}
        self._threshold = probability("threshold", threshold)
        self._label_thresholds = probabilities("label_thresholds", label_thresholds)
        self._unknown: set[str] = set()

    @property
    def threshold(self) -> float:
        """θ: the score that a predicted relation exceeds.

        What is set here is saved with the pipeline, and then prevails over its config, but not over
        one that is overridden when the pipeline is loaded.
        """
        return changed(self.cfg, "threshold", self._threshold)

    @threshold.setter
    def threshold(self, value: float) -> None:
        change(self.cfg, "threshold", probability("threshold", value), self._threshold)

    @property
    def label_thresholds(self) -> dict[str, float]:
        """The thresholds of labels that have one of their own; that of the others is `threshold`.

        What is set here is saved with the pipeline, and prevails as `threshold` does. It is a copy
        each time: assign a mapping to change the thresholds, or None to have none.
        """
        return dict(changed(self.cfg, "label_thresholds", self._label_thresholds))

    @label_thresholds.setter
    def label_thresholds(self, values: Mapping[str, float] | None) -> None:
        thresholds = probabilities("label_thresholds", values)
        self._check_known(thresholds)
        change(self.cfg, "label_thresholds", thresholds, self._label_thresholds)

    def _thresholds(self) -> list[float]:
        """Return the threshold of each label, (R,)."""
        own, common = self.label_thresholds, self.threshold
        self._check_known(own)
        return [own.get(label, common) for label in self.labels]

    def _check_known(self, thresholds: Mapping[str, float]) -> None:
        """Complain of thresholds for labels that there are not."""
        for label in thresholds:
            if label not in self.cfg["labels"]:
                known = ", ".join(self.labels)
                raise ValueError(Errors.D226.format(name=self.name, label=label, known=known))

    @property
    def labels(self) -> tuple[str, ...]:
        """The relation labels."""
        return tuple(self.cfg["labels"])

    @property
    def entity_labels(self) -> tuple[str, ...]:
        """The entity labels whose embeddings are learned."""
        return tuple(self.cfg["entity_labels"])

    @property
    def label_data(self) -> dict[str, list[str]]:
        """The relation and entity labels as `spacy init labels` saves them."""
        return {"relations": list(self.labels), "entities": list(self.entity_labels)}

    def add_label(self, label: str) -> int:
        """Add a relation label, before training or after. Returns 0 if it was there already."""
        if not self._is_new("labels", label):
            return 0
        if self.model.has_dim("nO"):
            self.set_output(len(self.labels) + 1)  # or complain, and stay as it is
        return self._add("labels", label)

    def add_entity_label(self, label: str) -> int:
        """Add an entity label, before training or after. Returns 0 if it was there already."""
        if not self._is_new("entity_labels", label):
            return 0
        if self.model.get_ref("labels").has_dim("nV"):
            n_tags = bio.n_tags(len(self.entity_labels) + 1)
            self.model.attrs["resize_tags"](self.model, n_tags)
        return self._add("entity_labels", label)

    def _is_new(self, key: str, label: str) -> bool:
        if not isinstance(label, str) or not label:
            raise ValueError(Errors.D212.format(label=label))
        return label not in self.cfg[key]

    def _add(self, key: str, label: str) -> int:
        self.cfg[key].append(label)
        self.vocab.strings.add(label)
        return 1

    def predict(self, docs: Iterable[Doc]) -> list[Floats3d]:
        """Return the scores in (0, 1), (m, m, R), of each doc's m entities."""
        docs = list(docs)
        xp = self.model.ops.xp
        ents = [doc.ents for doc in docs]  # spaCy makes the spans anew each time
        scores = [xp.zeros((len(spans), len(spans), len(self.labels)), "f") for spans in ents]
        # Pairs need two entities: all other docs are done.
        paired = [i for i, spans in enumerate(ents) if len(spans) > 1]
        if paired:
            entities = [self._entities(ents[i]) for i in paired]
            logits = self.model.predict(([docs[i] for i in paired], entities))
            for i, values in zip(paired, logits, strict=True):
                # In place: of a long doc, these are the largest arrays.
                scores[i] = self.model.ops.sigmoid(together(values, len(self.labels)), inplace=True)
        return scores

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[Floats3d]) -> None:
        """Set `doc._.relations` to the relations that score above the threshold of their label."""
        install_extension()
        # In single precision, as the scores: each label is treated as by one common threshold.
        thresholds = numpy.asarray(self._thresholds(), dtype="f")
        for doc, values in zip(docs, scores, strict=True):
            values = self.model.ops.to_numpy(values)
            above = values > thresholds
            above[numpy.arange(len(above)), numpy.arange(len(above))] = False
            ents = doc.ents
            set_relations(
                doc,
                [
                    (ents[i], ents[j], self.labels[k], float(values[i, j, k]))
                    for i, j, k in numpy.argwhere(above)
                ],
            )

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from gold entities and relations.

        Predicted entities are not read, unless `predicted_entities` says so.
        Docs without entities count: their zero gradients complete those of the shared layers.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "RelationScorer.update")
        if not any(len(eg.predicted) for eg in examples):
            return losses
        set_dropout_rate(self.model, drop)
        docs = [eg.predicted for eg in examples]
        if self.predicted_entities and not any(doc.has_annotation("ENT_IOB") for doc in docs):
            raise ValueError(Errors.D280.format(name=self.name))
        gold = self._gold(examples)
        entities = [self._with_noise(self._entities(g.spans, g)) for g in gold]
        scores, backprop = self.model.begin_update((docs, entities))
        loss, d_scores = self._get_loss(gold, scores)
        backprop(d_scores)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def get_loss(
        self, examples: Iterable[Example], scores: Sequence[Floats3d]
    ) -> tuple[float, list[Floats3d]]:
        """Return the weighted loss and its gradient with respect to the scores.

        scores: The model's output for the gold entities of the examples.
        """
        return self._get_loss(self._gold(examples), scores)

    def _gold(self, examples: Iterable[Example]) -> list[GoldEntities]:
        with_others = self.predicted_entities
        return [GoldEntities(eg, eg.predicted.ents if with_others else ()) for eg in examples]

    def _get_loss(
        self, gold: Sequence[GoldEntities], scores: Sequence[Floats3d]
    ) -> tuple[float, list[Floats3d]]:
        xp = self.model.ops.xp
        n_labels = len(self.labels)
        n_items = sum(len(g.spans) * (len(g.spans) - 1) * n_labels for g in gold)
        # Of a committee, the mean over the members.
        n_members = scores[0].shape[2] // n_labels
        scale = self.loss_weight * loss_scale(self.loss_reduction, n_items, len(gold)) / n_members
        loss = 0.0
        d_scores = []
        for g, values in zip(gold, scores, strict=True):
            truth = numpy.zeros((*values.shape[:2], n_labels), dtype="f")
            for head, tail, label in g.relations:
                truth[head, tail, self._number("labels", "relation label", label)] = 1.0
            truth = xp.tile(xp.asarray(truth), n_members)
            pairs = 1.0 - xp.eye(len(g.spans), dtype="f")[:, :, None]
            values_loss, d_values = relation_loss(
                self.model.ops,
                values,
                truth,
                self.label_smoothing,
                self.negative_weight,
                self.focal_gamma,
            )
            loss += float((values_loss * pairs).sum())
            d_scores.append(d_values * pairs * xp.float32(scale))
        return loss * scale, d_scores

    def _number(self, key: str, what: str, label: str) -> int:
        if label not in self.cfg[key]:
            known = ", ".join(self.cfg[key])
            method = {"labels": "add_label", "entity_labels": "add_entity_label"}[key]
            about = {"name": self.name, "what": what, "label": label, "known": known}
            raise ValueError(Errors.D211.format(**about, method=method))
        return self.cfg[key].index(label)

    def _entities(self, spans: Sequence[Span], gold: GoldEntities | None = None) -> Ints2d:
        """Return the last token, its BIO tag and the first token of each entity, (m, 3).

        An unknown entity label is embedded as O, but an error if it is gold.
        gold: Has the first and last tokens, if they are not those of the spans.
        """
        rows = numpy.zeros((len(spans), 3), dtype="int64")
        n_gold = 0 if gold is None else gold.n_gold
        for i, span in enumerate(spans):
            first, last = span.start, span.end - 1
            if gold is not None:
                first, last = gold.first[i], gold.last[i]
            rows[i, 0], rows[i, 2] = last, first
            if i < n_gold or span.label_ in self.cfg["entity_labels"]:
                number = self._number("entity_labels", "entity label", span.label_)
                rows[i, 1] = bio.last(number, last + 1 - first)
            elif span.label_ not in self._unknown:
                self._unknown.add(span.label_)
                known = ", ".join(self.entity_labels)
                warnings.warn(
                    Warnings.DW200.format(name=self.name, label=span.label_, known=known),
                    stacklevel=2,
                )
        return self.model.ops.xp.asarray(rows)

    def _with_noise(self, entities: Ints2d) -> Ints2d:
        """Change the types of some entities, (m, 3), in place: see `entity_noise`."""
        if self.entity_noise and len(entities):
            tags = self.model.ops.to_numpy(entities[:, 1])
            n_labels = len(self.entity_labels)
            # From its own type, one goes some steps round the circle of all types and none.
            steps = numpy.random.randint(1, n_labels + 1, len(tags))
            steps *= numpy.random.random(len(tags)) < self.entity_noise
            numbers = (bio.label_numbers(tags) + steps) % (n_labels + 1)
            entities[:, 1] = self.model.ops.xp.asarray(bio.with_labels(tags, numbers))
        return entities

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Collect the labels and set up the model.

        get_examples: Returns a representative sample of gold examples: all that train.
        labels: The relation labels, or what `spacy init labels` saved: {"relations": [...],
            "entities": [...]}; what is not given is collected from the examples.
        """
        validate_get_examples(get_examples, "RelationScorer.initialize")
        check_committee(nlp)
        relation_labels, entity_labels = self._given_labels(labels)
        relations_seen: set[str] = set()
        entities_seen: set[str] = set()
        n_docs = n_unset = 0
        for eg in get_examples():
            relations = get_relations(eg.reference)
            n_docs += 1
            n_unset += len(eg.reference.ents) > 1 and not has_relations(eg.reference)
            relations_seen.update(relation.label for relation in relations)
            entities_seen.update(span.label_ for span in typed_entity_spans(eg.reference))
        relation_labels = sorted(relations_seen) if relation_labels is None else relation_labels
        entity_labels = sorted(entities_seen) if entity_labels is None else entity_labels
        if n_unset and relations_seen:
            warning = Warnings.DW201.format(name=self.name, count=n_unset, total=n_docs)
            warnings.warn(warning, stacklevel=2)
        for label in relation_labels:
            self.add_label(label)
        for label in entity_labels:
            self.add_entity_label(label)
        for what, known in (("relation", self.labels), ("entity", self.entity_labels)):
            if not known:
                raise ValueError(Errors.D210.format(name=self.name, what=what))
        self._check_known(self.label_thresholds)
        self.model.set_dim("nO", len(self.labels), force=True)
        self.model.get_ref("labels").set_dim("nV", bio.n_tags(len(self.entity_labels)), force=True)
        nonempty = (eg.predicted for eg in get_examples() if len(eg.predicted))
        sample = list(islice(nonempty, 10))
        entities = [self._entities([]) for _ in sample]
        self.model.initialize(X=(sample, entities) if sample else None)

    def _given_labels(self, labels: Any) -> tuple[Sequence[str] | None, Sequence[str] | None]:
        if labels is None:
            return None, None
        if isinstance(labels, Mapping) and set(labels) <= {"relations", "entities"}:
            return labels.get("relations"), labels.get("entities")
        if isinstance(labels, Sequence) and not isinstance(labels, str):
            return labels, None
        raise ValueError(Errors.D213.format(name=self.name, labels=labels))
