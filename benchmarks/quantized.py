"""How much faster a quantized pipeline is on the CPU, and what it loses.

    OMP_NUM_THREADS=1 python benchmarks/quantized.py MODEL DATA.spacy

MODEL is a trained pipeline with a frozen encoder. `encoder` is the forward pass of that encoder, as
its library makes it and in single precision, on ready-made word pieces of the texts, as many at
once as the pipeline takes. `fp32` and `int8` are `nlp.pipe` over the texts, tokenizer included;
`encoder fp32` and `encoder int8` are the frozen encoder in it. Batches are sorted by length. All
take turns, and the times are those that the process has the processor, so that a busy machine
disturbs all alike. Ratios are medians over the turns.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.training import Corpus
from spacy.util import minibatch

from spacy_deeper.layers.cached import frozen_layers
from spacy_deeper.models.frozen_transformer import CPU_CHUNK, chunks
from spacy_deeper.quantization import quantize

REPEATS = 5
BATCH = 64  # texts
SCORES = ("ents_micro_f", "rel_micro_f")


def main(model: str, data: str, repeats: int = REPEATS) -> None:
    """Print words per second, their ratios, F1, and megabytes on disk."""
    pipelines = {"fp32": spacy.load(model), "int8": spacy.load(model)}
    n_layers = quantize(pipelines["int8"])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {n_layers} int8 layers")
    gold = [example.reference for example in Corpus(data)(pipelines["fp32"])]
    texts = sorted((doc.text for doc in gold), key=len)
    n_words = sum(len(pipelines["fp32"].make_doc(text)) for text in texts)
    functions = {
        "encoder": encoder(pipelines["fp32"], texts),
        **{f"encoder {name}": ours(nlp, texts) for name, nlp in pipelines.items()},
        **{name: piped(nlp, texts) for name, nlp in pipelines.items()},
    }
    seconds = compare(functions, repeats)
    print(f"{n_words} words in {len(texts)} texts")
    for name, values in seconds.items():
        speed = n_words / median(values)
        ratio = median(a / b for a, b in zip(seconds["encoder"], values, strict=True))
        print(f"{name:14}{speed:8.0f} words/s{ratio:7.2f} times the fp32 encoder's", flush=True)
    for name, nlp in pipelines.items():
        scores = nlp.evaluate(list(Corpus(data)(nlp)))
        shown = "".join(f"  {key} {scores[key] * 100:5.2f}" for key in SCORES)
        print(f"{name}{shown}  {megabytes(nlp):6.1f} MB", flush=True)


def encoder(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return the forward pass of the pipeline's frozen encoder over the texts, nothing else."""
    (frozen,) = frozen_layers(nlp)
    layer: Any = frozen.layers[0].get_ref("transformer")
    limit = layer.tokenizer.model_max_length
    network = type(layer.transformer)(layer.transformer.config)
    network.load_state_dict(layer.transformer.state_dict())
    network.eval()
    settings: dict[str, Any] = {
        "padding": True,
        "truncation": True,
        "max_length": limit,
        "return_tensors": "pt",
    }
    lengths = [len(layer.tokenizer(text)["input_ids"]) for text in texts]
    chosen = chunks(lengths, limit, limit, CPU_CHUNK)  # as many at once as the pipeline takes
    batches = [layer.tokenizer([texts[i] for i in batch], **settings) for batch in chosen]

    def forward() -> None:
        with torch.inference_mode():
            for batch in batches:
                network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])

    return forward


def ours(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return the pipeline's encoder layer: word pieces, forward pass and pooling."""
    (frozen,) = frozen_layers(nlp)
    batches = [[nlp.make_doc(text) for text in batch] for batch in minibatch(texts, BATCH)]
    return lambda: [frozen.layers[0].predict(batch) for batch in batches]


def piped(nlp: Language, texts: list[str]) -> Callable[[], Any]:
    """Return what processes the texts."""
    return lambda: list(nlp.pipe(texts, batch_size=BATCH))


def compare(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each function's turns, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start = process_time()
            function()
            if repeat:
                seconds[name].append(process_time() - start)
    return seconds


def megabytes(nlp: Language) -> float:
    """Return the size of the pipeline on disk."""
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
