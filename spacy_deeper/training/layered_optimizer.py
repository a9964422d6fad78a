"""An optimizer for each component, and one norm for all gradients."""

from collections import ChainMap
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from spacy.language import Language
from spacy.util import registry
from thinc.api import Model, Optimizer
from thinc.optimizers import KeyT
from thinc.types import FloatsXd

from ..errors import Errors
from ..models.depth import EMBEDDINGS, depth

# The pipelines that `name_parameters` was told of, the last one last, and the optimizers that look
# their parameters up there: spaCy's training makes its optimizer late, and hands it no pipeline.
_named: "WeakKeyDictionary[Language, None]" = WeakKeyDictionary()
_living: "WeakSet[LayeredOptimizer]" = WeakSet()


class LayeredOptimizer(Optimizer):
    """Hands each parameter to the optimizer of its component."""

    def __init__(
        self,
        default: Optimizer,
        components: dict[str, Optimizer],
        layer_decay: dict[str, float],
        grad_norm: float,
    ) -> None:
        super().__init__(default.learn_rate, grad_clip=0.0, use_averages=False)
        self.default = default
        self.components = components
        self.layer_decay = layer_decay
        self.grad_norm = grad_norm
        self._models: dict[str, Model] = {}
        self._groups: dict[KeyT, tuple[Optimizer, float]] = {}
        self._clipping: float | None = None
        self._spent: set[KeyT] = set()
        _living.add(self)

    def begin_step(self) -> None:
        """Measure the gradients again."""
        self._clipping = None
        self._spent.clear()

    def __call__(
        self, key: KeyT, weights: FloatsXd, gradient: FloatsXd, *, lr_scale: float = 1.0
    ) -> tuple[FloatsXd, FloatsXd]:
        if key not in self._groups:
            self._models = models_with(key)
            self._groups = self._find_groups()
        optimizer, scale = self._groups[key]
        if self.grad_norm:
            if key in self._spent:  # not every loop says that a step begins
                self.begin_step()
            self._spent.add(key)
            # At the first parameter of a step, before any gradient is spent.
            if self._clipping is None:
                norm = global_norm(self._models.values())
                self._clipping = self.grad_norm / norm if norm > self.grad_norm else 1.0
            gradient *= self._clipping
        return optimizer(key, weights, gradient, lr_scale=lr_scale * scale)

    def step_schedules(self) -> None:
        optimizers = (self.default, *self.components.values())
        for optimizer in optimizers:
            optimizer.step_schedules()
        self.learn_rate = self.default.learn_rate  # which spaCy shows
        # Which spaCy evaluates and saves; a parameter without an average stays as it is.
        self.averages = dict(ChainMap(*(optimizer.averages or {} for optimizer in optimizers)))
        self.begin_step()

    def _find_groups(self) -> dict[KeyT, tuple[Optimizer, float]]:
        """Return each parameter's optimizer, and by what its rate is scaled."""
        groups = {}
        for name in (*self.components, *self.layer_decay):
            if name not in self._models:
                known = ", ".join(self._models)
                raise ValueError(Errors.D264.format(name=name, known=known))
        for name, model in self._models.items():
            optimizer = self.components.get(name, self.default)
            scales = {key: 1.0 for key, _ in parameters(model)}
            if name in self.layer_decay:
                scales = layer_scales(name, scales, self.layer_decay[name])
            groups.update({key: (optimizer, scale) for key, scale in scales.items()})
        return groups


def models_with(key: KeyT) -> dict[str, Model]:
    """Return the models of the pipeline that a parameter is of, by the components' names."""
    for nlp in reversed(list(_named)):
        pipes = ((name, getattr(pipe, "model", None)) for name, pipe in nlp.pipeline)
        models = {name: model for name, model in pipes if isinstance(model, Model)}
        if any(key == other for model in models.values() for other, _ in parameters(model)):
            return models
    raise ValueError(Errors.D265)


def parameters(model: Model) -> Iterator[tuple[KeyT, Any]]:
    """Yield the key of each parameter under a model, as optimizers get it, and its gradient."""
    for node in model.walk():
        for shim in node.shims:
            if shim._model is not None:
                for name, value in shim._model.named_parameters():
                    yield (shim.id, name), value.grad
        for name in node.param_names:
            yield (node.id, name), node.get_grad(name) if node.has_grad(name) else None


def global_norm(models: Iterable[Model]) -> float:
    """Return the norm of all gradients under some models together."""
    gradients = (gradient for model in models for _, gradient in parameters(model))
    return sum(float((g**2).sum()) for g in gradients if g is not None) ** 0.5


def layer_scales(component: str, keys: Iterable[KeyT], decay: float) -> dict[KeyT, float]:
    """Return the factor of each parameter's rate: 1 in the last layer, and `decay` for each below.

    Embeddings lie below the first layer; what lies above the layers has the factor 1.
    """
    depths = {key: depth(key[1]) for key in keys}
    numbered = [number for number in depths.values() if number not in (None, EMBEDDINGS)]
    if not numbered:
        raise ValueError(Errors.D266.format(name=component))
    last = max(numbered)
    return {
        key: decay ** (last - (last if number is None else number))
        for key, number in depths.items()
    }


@registry.optimizers("spacy_deeper.Layered.v1")
def Layered(
    default: Optimizer,
    components: dict[str, Any] | None = None,  # confection can't validate a dict of its blocks
    layer_decay: dict[str, float] | None = None,
    grad_norm: float = 0.0,
) -> LayeredOptimizer:
    """Create an optimizer that gives components learning rates of their own.

    Its config also needs `[initialize.before_init]` with
    `@callbacks = "spacy_deeper.name_parameters.v1"`.

    default (Optimizer): For all components that have none of their own.
    components (Optional[Dict[str, Optimizer]]): The optimizers of others by their names, such as
        `transformer`: with schedules, L2 and clipping as they need.
    layer_decay (Optional[Dict[str, float]]): By the names of components with an encoder of
        numbered layers: each layer's rate is so many times that of the one above (Howard and
        Ruder 2018, discriminative fine-tuning), the embeddings' that of the first layer.
    grad_norm (float): Scale all gradients together, those of all components, so that their norm is
        at most this; 0 does not. An optimizer's own `grad_clip` clips each parameter's.
    """
    if grad_norm < 0:
        raise ValueError(Errors.D218.format(name="grad_norm", value=grad_norm))
    for name, decay in (layer_decay or {}).items():
        if not 0 < decay <= 1:
            raise ValueError(Errors.D208.format(name=f"layer_decay.{name}", value=decay))
    for name, optimizer in (components or {}).items():
        if not isinstance(optimizer, Optimizer):
            raise ValueError(Errors.D267.format(name=name, found=optimizer))
    return LayeredOptimizer(default, components or {}, layer_decay or {}, grad_norm)


@registry.callbacks("spacy_deeper.name_parameters.v1")
def make_name_parameters() -> Any:
    """Create the callback that `spacy_deeper.Layered.v1` needs, for `[initialize.before_init]`.

    It does as well in `[training.before_update]`, which spaCy has since 3.5.
    """
    return name_parameters


def name_parameters(nlp: Language, info: dict[str, Any] | None = None) -> Language:
    """Let the layered optimizers find a pipeline's parameters; a step begins."""
    _named.pop(nlp, None)  # to be the last one
    _named[nlp] = None
    for optimizer in list(_living):
        optimizer.begin_step()
    return nlp
