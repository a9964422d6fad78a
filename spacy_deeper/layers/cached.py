"""A frozen layer's outputs, remembered during training."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc
from thinc.api import Model


def cached(layer: Model[list[Doc], list[Any]], max_mb: int) -> Model[list[Doc], list[Any]]:
    """Freeze a layer and run it once per distinct text of a training, not once per epoch.

    The cache fills from the first training step on, in evaluation too, and holds the `max_mb`
    megabytes used last. It is never saved, and a pipeline that does not train has none.

    layer: Maps docs to one array each, a row for each token, without dropout of its own. Copies of
        the model share it, and the cache.
    """
    cache = VectorCache(max_mb * 2**20)
    return Frozen(f"cached({layer.name})", partial(forward, cache), init=init, layers=[layer])


class Frozen(Model):
    """A layer that never changes, so that a copy of it is itself: encoders are large."""

    def _copy(self, seen: Any = None) -> "Frozen":
        return self


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    model.layers[0].initialize(X=X)


def forward(
    cache: "VectorCache", model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Any], Callable[[list[Any]], list[Doc]]]:
    layer = model.layers[0]
    cache.active = cache.active or is_train
    if not cache.active:
        return layer.predict(docs), lambda dYs: []
    keys = [text_key(doc) for doc in docs]
    found = {key: cache.get(key) for key in keys}
    missing = {key: doc for key, doc in zip(keys, docs, strict=True) if found[key] is None}
    if missing:
        for key, rows in zip(missing, layer.predict(list(missing.values())), strict=True):
            found[key] = rows
            cache.put(key, rows)
    return [found[key] for key in keys], lambda dYs: []


def text_key(doc: Doc) -> bytes:
    """Return a key for the doc's text and tokenization."""
    return doc.to_array([ORTH, SPACY]).tobytes()


class VectorCache:
    """The arrays used last, up to a number of bytes. Pickled and copied without them."""

    def __init__(self, max_bytes: int) -> None:
        self.active = False
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[bytes, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return VectorCache, (self.max_bytes,)

    def get(self, key: bytes) -> Any | None:
        """Return the array and mark it as used, or None."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
        return self._arrays.get(key)

    def put(self, key: bytes, array: Any) -> None:
        """Remember an array; forget those unused the longest if there is no room."""
        array = array.copy()  # a view would keep its whole batch alive
        self._arrays[key] = array
        self.n_bytes += array.nbytes
        while self.n_bytes > self.max_bytes and self._arrays:
            self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
