"""The pipelines that are measured."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import (
    fix_random_seed,
    load_model,
    load_model_from_config,
    minibatch,
    registry,
)
from thinc.api import Config

from spacy_deeper.cli.merge_config import merge_configs
from spacy_deeper.models.transformer import local_path

CONFIGS = Path(__file__).parents[1] / "configs"
BATCH = 8
EPOCHS = 5


def paper_config() -> Config:
    """Return the config of the paper's sizes for CoNLL04, with frozen MiniLM."""
    return merge_configs(CONFIGS / "base.cfg", CONFIGS / "conll04.cfg")


def without_encoder(config: Config) -> Config:
    """Return a config whose embedding has characters and casing only."""
    config = deepcopy(config)
    config["components"]["tok2vec"]["model"]["embed"]["contextual"] = None
    return config


def fine_tuned(config: Config) -> Config:
    """Return a config that trains its encoder, too, as `conll04_finetune.cfg` does."""
    frozen = config["components"]["tok2vec"]["model"]["embed"]["contextual"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.cfg"
        Config(config).to_disk(path, interpolate=False)
        merged = merge_configs(path, CONFIGS / "conll04_finetune.cfg")
    windows = merged["components"]["transformer"]["model"]["get_spans"]
    windows.update({name: frozen[name] for name in ("window", "stride") if name in frozen})
    merged["initialize"]["after_init"] = None  # fresh layers are as fast
    # Batches come once here, as those of other trainings do.
    merged["components"]["tok2vec"]["model"]["embed"]["adversarial"] = 0.0
    return merged


def mixed(config: Config) -> Config:
    """Return a config that trains its encoder in mixed precision."""
    config = fine_tuned(config)
    config["components"]["transformer"]["model"]["mixed_precision"] = True
    return config


def start(config: Config, docs: list[Doc]) -> tuple[Language, list[Example]]:
    """Build a pipeline, and initialize it with the labels of docs."""
    fix_random_seed(0)
    nlp = load_model_from_config(config, auto_fill=True)
    examples = examples_of(nlp, docs)
    nlp.initialize(lambda: examples)
    return nlp, examples


def examples_of(nlp: Language, docs: list[Doc]) -> list[Example]:
    """Return docs as a pipeline trains with them, and is scored.

    As in spaCy's `Corpus`, words are those of the doc if nobody knows the text they are from.
    """
    return [
        Example(
            Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
            if doc.has_unknown_spaces
            else nlp.make_doc(doc.text),
            doc,
        )
        for doc in docs
    ]


def ours(config: Config, docs: list[Doc], model: Path | None = None) -> Language:
    """Load a trained pipeline, or make one and train it a little.

    How many entities there are to relate is what the tagger finds: one that knows nothing finds
    none, or far too many.
    """
    if model is not None:
        return load_model(model)
    nlp, examples = start(config, docs)
    epoch = training_epoch(nlp, examples)
    for _ in range(EPOCHS):
        epoch()
    # A loaded pipeline runs its encoder; this one remembers what it had for the texts of training.
    with TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        return load_model(folder)


def spacy_ner(config: Config, docs: list[Doc]) -> tuple[Language, list[Example]]:
    """Make spaCy's `transformer` and `ner`, on the same encoder and the same windows."""
    contextual = config.interpolate()["components"]["tok2vec"]["model"]["embed"]["contextual"]
    get_spans = {
        "@span_getters": "spacy-transformers.strided_spans.v1",
        "window": contextual.get("window", 128),
        "stride": contextual.get("stride", 96),
    }
    transformer = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": local_path(contextual["name"]),
        "get_spans": get_spans,
    }
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    plain = Config({"nlp": {"lang": "en", "pipeline": ["transformer", "ner"]}})
    plain["nlp"]["batch_size"] = config["nlp"]["batch_size"]
    ner = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner"}
    ner |= {"extra_state_tokens": False, "hidden_width": 64, "maxout_pieces": 2}
    ner |= {"use_upper": False, "nO": None, "tok2vec": listener}
    plain["components"] = {
        "transformer": {"factory": "transformer", "model": transformer},
        "ner": {"factory": "ner", "model": ner},
    }
    return start(plain, docs)


def training_epoch(
    nlp: Language, examples: list[Example], size: int = BATCH, drop: float = 0.35
) -> Callable[[], None]:
    """Return what updates on all texts once, as `spacy train` does; it can be called again."""
    training = registry.resolve(nlp.config.interpolate()["training"], validate=False)
    optimizer, before_update = training["optimizer"], training.get("before_update")
    annotates = training["annotating_components"]
    steps = 0

    def epoch() -> None:
        nonlocal steps
        for batch in minibatch(examples, size):
            if before_update is not None:
                before_update(nlp, {"step": steps, "epoch": 0})
            nlp.update(batch, sgd=False, drop=drop, annotates=annotates)  # type: ignore[arg-type]
            for _, pipe in nlp.pipeline:
                pipe.model.finish_update(optimizer)
            optimizer.step_schedules()
            steps += 1

    return epoch
