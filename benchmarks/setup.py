"""What all benchmarks are given."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config

from .data import read_docs
from .pipelines import ours, without_encoder
from .timing import Timer


@dataclass
class Setup:
    """What is measured, and how long.

    data, train: Annotated .spacy files to read and to train with; None is the sample corpus.
    model: A trained pipeline of `config`; None trains one for an epoch.
    config: The config of the pipeline with a frozen encoder.
    threads: Each comparison is made with each of these numbers of threads.
    quick: Whether to measure little, to see that it works.
    """

    data: Path | None
    train: Path | None
    model: Path | None
    config: Config
    threads: list[int]
    timer: Timer
    quick: bool

    @cached_property
    def docs(self) -> list[Doc]:
        """The docs to read."""
        docs = read_docs(self.data)
        return docs[:20] if self.quick else docs

    @cached_property
    def train_docs(self) -> list[Doc]:
        """The docs to train with: enough for stable figures."""
        return read_docs(self.train)[: 20 if self.quick else 200]

    @cached_property
    def frozen(self) -> Language:
        """Our pipeline with a frozen encoder."""
        return ours(self.config, self.train_docs, self.model)

    @cached_property
    def bare(self) -> Language:
        """Our pipeline without a contextual encoder."""
        return ours(without_encoder(self.config), self.train_docs)
