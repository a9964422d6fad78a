"""The trainable component `crf_ner`: entities by tags and a CRF."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d, Ints1d

from ..errors import Errors
from ..layers.crf import likely_tags, scheme_of, span_probabilities, viterbi
from ..schemes import OUTSIDE, UNKNOWN, Scheme
from .committee import check_committee
from .default_model import default_model
from .loss import Reduction, loss_scale
from .settings import change, changed, over_half

_IOB_I, _IOB_B = 1, 3  # spaCy's codes; a B without a type marks a blocked token

DEFAULT_MODEL = default_model("""
[model]
@architectures = "spacy_deeper.CRFTagger.v1"
hidden_size = 64
activation = "tanh"
""")


@Language.factory(
    "crf_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "model": DEFAULT_MODEL,
        "threshold": None,
        "loss_reduction": "mean",
        "scorer": {"@scorers": "spacy_deeper.crf_ner_scorer.v1"},
    },
    default_score_weights={
        "ents_micro_f": 1.0,
        "ents_micro_p": 0.0,
        "ents_micro_r": 0.0,
        "ents_macro_f": 0.0,
        "ents_per_type": None,
    },
)
def make_crf_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    threshold: float | None,
    loss_reduction: Reduction,
    scorer: Callable | None,
) -> "CRFEntityTagger":
    """Create a `CRFEntityTagger`; see there for the settings."""
    return CRFEntityTagger(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        loss_reduction=loss_reduction,
        scorer=scorer,
    )


class CRFEntityTagger(TrainablePipe):
    """Tags entities: section 3.2 of Crone (2020).

    model: Scores each token's tags, with a CRF as its reference "crf"
        (`spacy_deeper.CRFTagger.v1`).
    threshold (Optional[float]): The entities are those more probable than this, 0.5 or more: with
        0.5 the fewest are expected to be wrong or missing. None: those of the best sequence of
        tags, as in the paper.
    loss_reduction: The loss is the negative log-likelihood of the gold tags, as "mean" over
        tokens, as the sum of each "doc" averaged over docs, or as "sum".
    scorer: Compares predicted and gold entities.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "crf_ner",
        *,
        threshold: float | None = None,
        loss_reduction: Reduction = "mean",
        scorer: Callable | None = None,
    ) -> None:
        loss_scale(loss_reduction, 1, 1)  # complains of an unknown one
        self.vocab = vocab
        self.model = model
        self.name = name
        self.loss_reduction = loss_reduction
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"labels": []}
        self._threshold = over_half(name, threshold)

    @property
    def threshold(self) -> float | None:
        """What the probability of an entity exceeds, or None for the entities of the best tags.

        What is set here is saved with the pipeline, and then prevails over its config, but not over
        one that is overridden when the pipeline is loaded.
        """
        return changed(self.cfg, "threshold", self._threshold)

    @threshold.setter
    def threshold(self, value: float | None) -> None:
        change(self.cfg, "threshold", over_half(self.name, value), self._threshold)

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity labels."""
        return tuple(self.cfg["labels"])

    @property
    def scheme(self) -> Scheme:
        """How entities are written as tags."""
        return scheme_of(self.model.get_ref("crf"))

    @property
    def label_data(self) -> list[str]:
        """The entity labels as `spacy init labels` saves them."""
        return list(self.cfg["labels"])

    def add_label(self, label: str) -> int:
        """Add an entity label, before training or after. Returns 0 if it was there already."""
        if not isinstance(label, str) or not label:
            raise ValueError(Errors.D212.format(label=label))
        if label in self.cfg["labels"]:
            return 0
        if self.model.has_dim("nO"):
            self.set_output(self.scheme.n_tags(len(self.labels) + 1))  # or complain
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def predict(self, docs: Iterable[Doc]) -> list[Ints1d]:
        """Return well-formed tags of each doc, agreeing with the entities it has."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [self.model.ops.alloc1i(0) for _ in docs]
        emissions = self.model.predict(docs)
        allowed = [self._allowed_tags(doc) for doc in docs]
        crf = self.model.get_ref("crf")
        if self.threshold is None:
            return viterbi(crf, emissions, allowed)
        return likely_tags(crf, emissions, self.threshold, allowed)

    def _allowed_tags(self, doc: Doc) -> numpy.ndarray | None:
        """Return which tags agree with entities set before, (n, K), or None if there are none.

        As in spaCy's `ner`: entities of other components and blocked tokens are left alone.
        """
        taken = numpy.isin(doc.to_array(ENT_IOB), (_IOB_B, _IOB_I))
        if not taken.any():
            return None
        # The tagger goes round what is there; `set_annotations` puts both together.
        allowed = numpy.ones((len(doc), self.scheme.n_tags(len(self.labels))), dtype=bool)
        allowed[taken] = False
        allowed[taken, OUTSIDE] = True
        return allowed

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[Ints1d]) -> None:
        """Set `doc.ents` from tags; entities that were there stay."""
        for doc, tags in zip(docs, scores, strict=True):
            spans = [
                Span(doc, start, end, label=self.labels[label])
                for start, end, label in self.scheme.tags_to_spans(self.model.ops.to_numpy(tags))
            ]
            iob, types = doc.to_array([ENT_IOB, ENT_TYPE]).T
            blocked = [doc[i : i + 1] for i in numpy.flatnonzero((iob == _IOB_B) & (types == 0))]
            doc.set_ents([*doc.ents, *spans], blocked=blocked, default="outside")

    def entity_scores(self, doc: Doc) -> list[float]:
        """Return the probability, in the CRF's eyes, of each entity of a processed doc.

        Of well-formed tags, and of a committee the mean of what its members find; as if no other
        component had set entities. 0 for entities with labels that the tagger does not know.
        RAISES (ValueError): If the shared layers left nothing in the doc, as in one that was saved.
        """
        listening = {node.name for node in self.model.walk()}
        unread = (
            ("tok2vec-listener" in listening and not doc.tensor.size)
            or ("transformer-listener" in listening and doc._.trf_data is None)
        )  # fmt: skip
        if len(doc) and unread:
            raise ValueError(Errors.D220.format(name=self.name))
        known = [ent for ent in doc.ents if ent.label_ in self.cfg["labels"]]
        spans = [(ent.start, ent.end, self.cfg["labels"].index(ent.label_)) for ent in known]
        emissions = self.model.predict([doc])[0]
        values = iter(span_probabilities(self.model.get_ref("crf"), emissions, spans))
        return [next(values) if ent in known else 0.0 for ent in doc.ents]

    def get_loss(
        self, examples: Iterable[Example], scores: Sequence[Floats2d]
    ) -> tuple[float, list[Floats2d]]:
        """Return the loss and its gradient with respect to the emissions; also the CRF learns."""
        examples = list(examples)
        ops = self.model.ops
        tags = [self._gold_tags(example) for example in examples]
        losses, backprop = self.model.get_ref("crf").begin_update(
            (scores, [ops.xp.asarray(row) for row in tags])
        )
        n_known = sum(int((row != UNKNOWN).sum()) for row in tags)
        scale = loss_scale(self.loss_reduction, n_known, len(examples))
        return float(losses.sum()) * scale, backprop(ops.xp.full_like(losses, scale))

    def _gold_tags(self, example: Example) -> numpy.ndarray:
        """Return the gold tags, (n,), of the predicted tokens; `UNKNOWN` where gold tells nothing.

        That is where the reference has no annotation, or its tokens do not align.
        """
        tags = numpy.full(len(example.predicted), UNKNOWN, dtype="int64")
        for i, tag in enumerate(example.get_aligned_ner()):
            if tag == "O":
                tags[i] = OUTSIDE
            elif tag is not None and "-" in tag and tag != "-":
                prefix, label = tag.split("-", 1)
                if label not in self.cfg["labels"]:
                    raise ValueError(
                        Errors.D211.format(
                            name=self.name,
                            what="entity label",
                            label=label,
                            known=", ".join(self.labels),
                            method="add_label",
                        )
                    )
                index = self.cfg["labels"].index(label)
                tags[i] = self.scheme.tag(prefix, index)
        return tags

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Collect the labels and set up the model.

        get_examples: Returns a representative sample of gold examples: all that train.
        labels (Optional[Sequence[str]]): The entity labels; collected from the examples if None.
        """
        validate_get_examples(get_examples, "CRFEntityTagger.initialize")
        check_committee(nlp)
        if isinstance(labels, str | dict):
            raise ValueError(Errors.D219.format(name=self.name, labels=labels))
        if labels is None:
            labels = sorted({ent.label_ for eg in get_examples() for ent in eg.reference.ents})
        for label in labels:
            self.add_label(label)
        if not self.labels:
            raise ValueError(Errors.D210.format(name=self.name, what="entity"))
        self.model.set_dim("nO", self.scheme.n_tags(len(self.labels)), force=True)
        nonempty = (eg.predicted for eg in get_examples() if len(eg.predicted))
        sample = list(islice(nonempty, 10))
        self.model.initialize(X=sample or None)
