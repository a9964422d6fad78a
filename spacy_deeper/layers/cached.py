"""A frozen layer's outputs, remembered during training."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from spacy.attrs import ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from ..devices import exact
from .disk_cache import DiskCache


def cached(
    layer: Model[list[Doc], list[Any]],
    max_mb: int,
    folder: str | Path | None = None,
    fingerprint: Callable[[Model], str] | None = None,
) -> Model[list[Doc], list[Any]]:
    """Freeze a layer and run it once per distinct text of a training, not once per epoch.

    The cache fills from the first update on, in evaluation too, and holds the `max_mb` megabytes
    used last. It is never saved, and a pipeline that does not train has none.

    layer: Maps docs to one array each, a row for each token, without dropout of its own. Copies of
        the model share it, and the cache.
    folder: Keep the arrays there too, for other runs and processes, and without a bound. What is
        predicted comes there with the next update, if memory still holds it: that is the texts of
        an evaluation, and not those that a trained pipeline is used on.
    fingerprint: Returns a name, fit for a folder, for all that the layer's arrays depend on: its
        weights and settings. It is called once, when a training begins. A folder needs it.
    """
    disk = None if folder is None or fingerprint is None else (Path(folder), fingerprint)
    cache = VectorCache(max_mb * 2**20, disk)
    return Frozen(f"cached({layer.name})", partial(forward, cache), init=init, layers=[layer])


class Frozen(Model):
    """A layer that never changes, so that a copy of it is itself: encoders are large."""

    @property
    def cache(self) -> "VectorCache":
        """What it remembers."""
        return self._func.args[0]  # type: ignore[attr-defined]

    def _copy(self, seen: Any = None) -> "Frozen":
        return self


def frozen_layers(nlp: Language) -> Iterator[Frozen]:
    """Yield the layers of a pipeline that have a cache."""
    for _, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        if isinstance(model, Model):
            yield from (node for node in model.walk() if isinstance(node, Frozen))


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    model.layers[0].initialize(X=X)


def forward(
    cache: "VectorCache", model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Any], Callable[[list[Any]], list[Doc]]]:
    layer = model.layers[0]
    cache.forget_others(layer)
    if is_train:
        cache.activate(layer)
    if not cache.active:
        return layer.predict(docs), lambda dYs: []
    keys = [text_key(doc) for doc in docs]
    found = {key: cache.get(key) for key in keys}
    missing = {key: doc for key, doc in zip(keys, docs, strict=True) if found[key] is None}
    if missing:
        with exact():  # what is remembered is for all uses, and for other runs
            outputs = layer.predict(list(missing.values()))
        for key, rows in zip(missing, outputs, strict=True):
            found[key] = rows
            cache.put(key, rows, is_train)
    if is_train:
        cache.write_predicted()
    return [found[key] for key in keys], lambda dYs: []


def modules(layer: Model) -> list[Any]:
    """Return the torch modules of a layer, which loading replaces."""
    return [getattr(shim, "_model", None) for node in layer.walk() for shim in node.shims]


def text_key(doc: Doc) -> bytes:
    """Return a key for the doc's text and tokenization."""
    return doc.to_array([ORTH, SPACY]).tobytes()


class VectorCache:
    """The arrays used last, up to a number of bytes, and on disk all. Pickled and copied empty.

    disk: A folder, and what names a layer's part of it.
    """

    def __init__(
        self, max_bytes: int, disk: tuple[Path, Callable[[Model], str]] | None = None
    ) -> None:
        self.active = False
        self.writes_all = False  # or what is predicted waits for an update
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[bytes, Any] = OrderedDict()
        self._predicted: set[bytes] = set()  # of the arrays, those that are in no file yet
        self._disk_settings = disk
        self.disk: DiskCache | None = None
        self._modules: list[Any] = []

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return VectorCache, (self.max_bytes, self._disk_settings)

    @property
    def on_disk(self) -> bool:
        """Whether it has a folder, active or not."""
        return self._disk_settings is not None

    def activate(self, layer: Model) -> None:
        """Begin to remember a layer's arrays."""
        if self.active:
            return
        if self._disk_settings is not None:
            folder, fingerprint = self._disk_settings
            self.disk = DiskCache(folder, fingerprint(layer), layer.ops)
        self.active = True
        self._modules = modules(layer)

    def forget_others(self, layer: Model) -> None:
        """Forget all if the layer has other modules than when this began: weights were loaded."""
        found = modules(layer) if self.active else []
        if any(a is not b for a, b in zip_longest(found, self._modules)):
            self.clear()

    def clear(self) -> None:
        """Forget all, and begin anew with the next training."""
        self.active = self.writes_all = False
        self.n_bytes = 0
        self.disk = None
        self._arrays.clear()
        self._predicted.clear()
        self._modules.clear()

    def get(self, key: bytes) -> Any | None:
        """Return the array and mark it as used, or None."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = self.disk.get(key) if self.disk is not None else None
        if array is not None:
            self._remember(key, array)
        return array

    def put(self, key: bytes, array: Any, is_train: bool) -> None:
        """Remember an array; forget those unused the longest if there is no room."""
        array = array.copy()  # a view would keep its whole batch alive
        self._predicted.add(key)
        self._remember(key, array)
        if is_train or self.writes_all:
            self._write(key, array)

    def write_predicted(self) -> None:
        """Write what was predicted since the last update: the training went on after it."""
        for key in list(self._predicted):
            self._write(key, self._arrays[key])

    def _write(self, key: bytes, array: Any) -> None:
        self._predicted.discard(key)
        if self.disk is not None:
            self.disk.put(key, array)

    def _remember(self, key: bytes, array: Any) -> None:
        self._arrays[key] = array
        self.n_bytes += array.nbytes
        while self.n_bytes > self.max_bytes and self._arrays:
            oldest, array = self._arrays.popitem(last=False)
            self.n_bytes -= array.nbytes
            self._predicted.discard(oldest)
