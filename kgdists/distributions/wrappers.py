"""What the methods of a distribution are wrapped in: full precision, keys, draws of symbolic parameters, hints."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import keras
from keras import ops

from kgdists.core import shapes
from kgdists.core.frequent import compiled_when_frequent
from kgdists.distributions.symbolic import Draw
from kgdists.random import key

__all__ = ["HALF", "draws", "in_full_precision", "unwrapped", "widened", "with_hints", "wrap_methods"]

HALF = ("float16", "bfloat16")

COMPILED = (
    *("log_proba", "elementwise_log_proba", "entropy", "cross_entropy", "kl_divergence"),
    *("cdf", "log_cdf", "survival", "log_survival", "quantile", "crps"),
)
IN_FULL_PRECISION = (*COMPILED, "mode", "mean", "variance", "stddev", "median", "prob", "proba_ratio")

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def unwrapped(method: F) -> F:
    """Leave a method as its class defines it, such as one that leaves its work to other distributions."""
    method.is_unwrapped = True  # type: ignore[attr-defined]
    return method


def wrap_methods(cls: type[Any]) -> None:
    """Wrap the methods that a class of distributions defines.

    All formulas compute in full precision, and methods with an argument `seed` draw from KerasTensors too. The formulas
    and draws of kgdists' own classes, which are known to be pure, are compiled when they are called often; their draws
    are functions of one key.
    """
    is_own = cls.__module__.startswith("kgdists.distributions.")
    for name, method in list(vars(cls).items()):
        if not inspect.isfunction(method) or name.startswith("_") or hasattr(method, "is_unwrapped"):
            continue
        is_draw = "seed" in inspect.signature(method).parameters
        if is_draw or name in IN_FULL_PRECISION:
            method = in_full_precision(method)
        if is_own and (is_draw or name in COMPILED):
            method = compiled_when_frequent(method, is_fused=cls.IS_FUSED and not is_draw)
        if is_draw:
            method = draws(with_key(method) if is_own else method)
        setattr(cls, name, method)


def widened(tree: T) -> T:
    """Nested values, such as a distribution, with float32 tensors in the place of those of half precision."""
    return keras.tree.map_structure(
        lambda x: ops.cast(x, "float32") if hasattr(x, "dtype") and shapes.dtype_of(x) in HALF else x, tree
    )


def in_full_precision(method: F) -> F:
    """Compute a method of a float16 or bfloat16 distribution in float32 and round its result once.

    Parameters
    ----------
    method : callable
        A method of a `Distribution`, whose other arguments may be distributions and tensors.

    Returns
    -------
    callable
        The method. It does nothing more for other dtypes.
    """

    @functools.wraps(method)
    def in_float32(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.dtype not in HALF:
            return method(self, *args, **kwargs)
        for other in (*args, *kwargs.values()):
            if hasattr(other, "check_same_kind"):
                self.check_same_kind(other)  # while the dtypes still differ
        this, args, kwargs = widened((self, args, kwargs))
        result = method(this, *args, **kwargs)
        return keras.tree.map_structure(
            lambda x: ops.cast(x, self.dtype) if shapes.dtype_of(x) == "float32" else x, result
        )

    return cast(F, in_float32)


def draws(method: F) -> F:
    """Let a drawing method, one with an argument `seed`, run on KerasTensors too: as a layer.

    It goes outermost, above `in_full_precision`.

    Parameters
    ----------
    method : callable
        A method of a `Distribution`: its arguments but the seed must be constants.

    Returns
    -------
    callable
        The method. It does nothing more where the parameters are tensors.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(shapes.is_symbolic(x) for x in self.params.values()):
            return method(self, *args, **kwargs)
        _, *given = signature.bind(self, *args, **kwargs).arguments.items()
        arguments = dict(given)
        if "sample_shape" in arguments:
            arguments["sample_shape"] = shapes.as_sizes(arguments["sample_shape"], "sample_shape", is_known=True)
        seed = None
        if arguments.get("seed") is None or isinstance(arguments["seed"], keras.random.SeedGenerator):
            seed = arguments.pop("seed", None) or self._stream.child()
        return Draw(type(self), self._static(), method.__name__, arguments, seed)(dict(self.params))

    return cast(F, draw)


def with_key(method: F) -> F:
    """Call a drawing method with a key in place of another seed, so that it is a pure function."""
    if keras.backend.backend() != "tensorflow":  # whose generators alone take keys
        return method
    place = list(inspect.signature(method).parameters).index("seed") - 1

    @functools.wraps(method)
    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        seed = args[place] if len(args) > place else kwargs.pop("seed", None)
        if len(args) > place:
            args = (*args[:place], key(self.generator(seed)), *args[place + 1 :])
        else:
            kwargs["seed"] = key(self.generator(seed))
        return method(self, *args, **kwargs)

    return cast(F, draw)


# What others call parameters: of these names the first that a class has.
OTHER_NAMES = {
    "loc": ("mu",),
    "mean": ("mu",),
    "log_var": ("logvar",),
    "alpha": ("concentration",),
    "beta": ("rate",),
    "shape": ("concentration",),
    "k": ("concentration",),
    "lam": ("rate", "scale"),
    "concentration1": ("alpha",),
    "concentration0": ("beta",),
    "p": ("probs",),
    "weights": ("probs",),
    "probabilities": ("probs",),
    "seed": ("random_seed",),
}
DEVIATIONS = ("sigma", "scale", "std", "stddev")
TEMPERATURES = ("boltzmann_tau", "gumbel_tau", "temperature")


def with_hints(init: F) -> F:
    """`init` whose error for a keyword that it does not know names the right one."""
    known = [name for name in inspect.signature(init).parameters if name not in ("self", "fields", "kwargs")]

    @functools.wraps(init)
    def initialize(self, *args, **kwargs):
        try:
            init(self, *args, **kwargs)
        except TypeError:
            wrong = [name for name in kwargs if name not in known]
            if not wrong:
                raise
            hinted = {name: _hint(type(self), known, name) for name in wrong}
            hints = "".join(f" For `{name}` write `{hint}`." for name, hint in hinted.items() if hint)
            raise TypeError(
                f"`{type(self).__name__}` takes {', '.join(known)}.{hints} Received: {', '.join(wrong)}"
            ) from None

    return cast(F, initialize)


def _hint(cls, known, name):
    """What to write for an argument that a class does not have; None if nothing is like it."""
    if name in (*TEMPERATURES, "tau"):
        return next((own for own in TEMPERATURES if own in known), None)
    if name in DEVIATIONS and hasattr(cls, "from_stddev"):
        return f"{cls.__name__}.from_stddev(mu, stddev)"
    if name in DEVIATIONS and "logvar" in known:
        return f"logvar=2 * keras.ops.log({name})"
    if name == "scale" and "rate" in known:
        return "rate=1 / scale"
    if name == "variance" and "logvar" in known:
        return "logvar=keras.ops.log(variance)"
    if name == "mean" and "mu" not in known and hasattr(cls, "from_mean"):
        return f"{cls.__name__}.from_mean"
    return next((own for own in OTHER_NAMES.get(name, ()) if own in known), None)
