import pytest
import spacy

from spacy_deeper.training.formats import FORMATS

from .joint import SAMPLE, fit, start


@pytest.fixture(scope="session")
def docs():
    """Twenty sentences of the sample corpus: some have no entity, one has one, two have four."""
    return list(FORMATS["markup"].read(SAMPLE, spacy.blank("en")))[:20]


@pytest.fixture(scope="session")
def trained(docs):
    """A pipeline that knows them by heart: not to be changed."""
    nlp, examples = start(docs)
    fit(nlp, examples, 60)
    return nlp


@pytest.fixture(scope="session")
def trained_path(trained, tmp_path_factory):
    """The trained pipeline on disk: load it to change it."""
    path = tmp_path_factory.mktemp("trained")
    trained.to_disk(path)
    return path
