"""A training that begins with the weights of another pipeline."""

import pytest
import spacy
from spacy.util import fix_random_seed, load_model_from_config
from thinc.api import Adam, Config

from .joint import JOINT, fit, pair, relations_of, same

pytestmark = pytest.mark.filterwarnings(r"ignore:\[DW202\]:UserWarning")


def build(name, changes):
    """A pipeline whose layers above a tiny transformer are those of the others here."""
    fix_random_seed(0)
    config = Config().from_str(JOINT).merge(Config().from_str(changes.replace("NAME", str(name))))
    return load_model_from_config(config, auto_fill=True)


SECTIONS = """
[components]

[components.tok2vec]

[components.tok2vec.model]

[components.tok2vec.model.embed]
"""
FROZEN = f"""{SECTIONS}
[components.tok2vec.model.embed.contextual]
@architectures = "spacy_deeper.FrozenTransformer.v1"
name = "NAME"
combine = "concatenate"
window = 6
stride = 3

[components.tok2vec.model.embed.contextual.pooling]
@layers = "reduce_mean.v1"
"""
TUNED = f"""
[nlp]
pipeline = ["transformer","tok2vec","crf_ner","relation_scorer"]
{SECTIONS}
[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy_deeper.TransformerModel.v1"
name = "NAME"
layers = "all"

[components.transformer.model.get_spans]
@span_getters = "spacy-transformers.strided_spans.v1"
window = 6
stride = 3

[components.tok2vec.model.embed.contextual]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0

[components.tok2vec.model.embed.contextual.pooling]
@layers = "reduce_mean.v1"

[initialize]

[initialize.after_init]
@callbacks = "spacy_deeper.start_from.v1"
path = "START"
"""


@pytest.fixture(scope="module")
def first(tiny_transformer, docs, tmp_path_factory):
    """A pipeline on the frozen transformer, trained a little, and its folder."""
    nlp = build(tiny_transformer, FROZEN)
    examples = pair(nlp, docs[:10])
    nlp.initialize(lambda: examples)
    losses = fit(nlp, examples, 250, 0.01)
    assert losses[-1][-1]["crf_ner"] < 0.1
    path = tmp_path_factory.mktemp("first") / "model"
    nlp.to_disk(path)
    return nlp, path


def start(transformer, docs, path, changes=""):
    config = TUNED.replace("START", str(path)) + changes
    nlp = build(transformer, config)
    nlp.initialize(lambda: pair(nlp, docs))
    return nlp


def test_it_begins_where_the_other_ended(first, tiny_transformer, docs) -> None:
    other, path = first
    nlp = start(tiny_transformer, docs[:10], path)
    assert any(relations_of(other(doc.text)) for doc in docs)
    for doc in docs:
        same(nlp(doc.text), other(doc.text), 1e-4)


def test_the_other_is_not_trained_on(first, tiny_transformer, docs) -> None:
    other, path = first
    before = other.to_bytes()
    nlp = start(tiny_transformer, docs[:10], path)
    nlp.update(pair(nlp, docs[:10]), sgd=Adam(0.1))
    assert other.to_bytes() == before
    assert spacy.load(path).pipe_names == other.pipe_names


def test_what_does_not_fit(first, tiny_transformer, docs, tmp_path) -> None:
    path = first[1]
    with pytest.raises(ValueError, match=r"^\[D290\].*no_such_folder"):
        start(tiny_transformer, docs[:10], tmp_path / "no_such_folder")
    wider = "\n[components.crf_ner]\n\n[components.crf_ner.model]\nhidden_size = 7\n"
    with pytest.raises(ValueError, match=r"^\[D290\].*two_layer_scorer 1"):
        start(tiny_transformer, docs[:10], path, wider)
    labels = first[0].get_pipe("crf_ner").labels
    fewer = next([doc] for doc in docs if 0 < len({ent.label_ for ent in doc.ents}) < len(labels))
    with pytest.raises(ValueError, match=r"^\[D290\].*'crf_ner' has other labels"):
        start(tiny_transformer, fewer, path)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match=r"^\[D290\].*has no 'tok2vec'"):
        start(tiny_transformer, docs[:10], tmp_path / "blank")
