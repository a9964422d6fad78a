"""The bare encoder: what a pipeline on a frozen transformer costs at least."""

from collections.abc import Callable
from typing import Any

import torch
from spacy.language import Language
from spacy.util import minibatch

from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.models.frozen_transformer import CPU_CHUNK, chunks


def bare_encoder(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return the forward pass of a pipeline's frozen encoder over texts, untouched by us.

    Word pieces are made before, and are in the batches that the pipeline makes of them on the CPU.
    """
    (frozen,) = frozen_layers(nlp)
    layer: Any = frozen.layers[0]
    transformer = layer.get_ref("transformer")
    network = type(transformer.transformer)(transformer.transformer.config)
    network.load_state_dict(transformer.transformer.state_dict())
    network.eval()
    limit = transformer.tokenizer.model_max_length
    batches = []
    for docs in minibatch(map(nlp.make_doc, texts), nlp.batch_size):
        lengths = [len(doc) for doc in docs]
        for chunk in chunks(lengths, layer.attrs["window"], layer.attrs["stride"], CPU_CHUNK):
            spans = transformer.attrs["get_spans"]([docs[i] for i in chunk])
            windows = [span.text for of_doc in spans for span in of_doc]
            batches.append(
                transformer.tokenizer(
                    windows, padding=True, truncation=True, max_length=limit, return_tensors="pt"
                )
            )

    def forward() -> None:
        with torch.inference_mode():
            for batch in batches:
                network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    return forward


def piped(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return what a pipeline does with texts, tokenizer included."""
    return lambda: list(nlp.pipe(texts))
