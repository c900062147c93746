"""`SearchDistribution`: a Gaussian over solutions that moves towards higher fitness, as an immutable value."""

from collections.abc import Mapping, Set
from typing import Any, Self

import numpy as np
import tensorflow as tf

from kgdists import random
from kgdists.core import pytree, shapes
from kgdists.core.checks import choice, count
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.evolution.gaussians import checks
from kgdists.evolution.gaussians.checks import as_tensor, listed
from kgdists.evolution.gaussians.parameter_value import ParameterValue
from kgdists.evolution.gaussians.steps import by_gradient, steps
from kgdists.evolution.ranking import METHODS, as_fitnesses, utilities
from kgdists.numerics import special
from kgdists.random import hashed_normal

__all__ = ["SearchDistribution", "as_tensor"]

SENSES = ("min", "max")


class SearchDistribution(ParameterValue):
    """A distribution over solutions that is sampled, and moved to where the fitter samples are.

    Those of the package are Gaussians of `mu` and `sigma`. A class of one's own names its `MANDATORY_PARAMETERS`, which
    are tensors, and defines `_from_noise` (solutions of standard normal numbers), `_compute_gradients` (a dict by the
    names of `GRADIENTS`, the same names unless given) and `update_parameters`. A searcher asks for `mu` and `sigma`
    too, which may be properties.

    Leading axes of its parameters are a batch of searches, independent of each other. A value is fixed for good, and a
    node of `keras.tree` and `tf.nest`: it goes in and out of `tf.function` and is a loop variable of `tf.while_loop`.

    Parameters
    ----------
    parameters : dict
        A value for each name of `MANDATORY_PARAMETERS` and for some of `OPTIONAL_PARAMETERS`.
    solution_length : int, optional
        Checked against the length of `mu`. Of other parameters it is the last axis that all of them share, and must be
        given where there is none.
    dtype : str, optional
        float32 or float64; that of `mu`, or of the first parameter, if it has one, else `keras.config.floatx()`.
    device : str, optional
        Where the parameters are, as for `tf.device`.
    """

    MANDATORY_PARAMETERS: Set[str] = frozenset({"mu", "sigma"})
    OPTIONAL_PARAMETERS: Set[str] = frozenset()
    TENSORS: tuple[str, ...] = ("mu", "sigma")  # the other parameters are static
    GRADIENTS: tuple[str, ...] = ("mu", "sigma")
    # The names of `noise_sums`, from which `gradients` follow, and of which power of the normal numbers each is a sum;
    # none where sums are not enough. Where a class has other sums or gradients, it declares its own.
    SUM_POWERS: Mapping[str, int] = {"mu": 1, "sigma": 2}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "MANDATORY_PARAMETERS" in cls.__dict__ and "TENSORS" not in cls.__dict__:
            cls.TENSORS = tuple(sorted(cls.MANDATORY_PARAMETERS))
            if "GRADIENTS" not in cls.__dict__:
                cls.GRADIENTS = cls.TENSORS
        cls.MANDATORY_PARAMETERS = frozenset(cls.MANDATORY_PARAMETERS)
        cls.OPTIONAL_PARAMETERS = frozenset(cls.OPTIONAL_PARAMETERS)
        makes_sums = {"noise_sums", "compute_gradients", "_compute_gradients", "SUM_POWERS"}
        own = next(vars(base) for base in cls.__mro__ if makes_sums & vars(base).keys())
        if "SUM_POWERS" not in own:
            cls.SUM_POWERS = {}
        pytree.register(cls)

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        solution_length: Integer | None = None,
        dtype: str | tf.DType | None = None,
        device: str | None = None,
    ) -> None:
        checks.check_names(parameters, self.MANDATORY_PARAMETERS, self.OPTIONAL_PARAMETERS)
        first = "mu" if "mu" in self.TENSORS else self.TENSORS[0]
        dtype = checks.as_dtype(dtype, parameters[first])
        fields = dict.fromkeys(self.OPTIONAL_PARAMETERS) | dict(parameters)
        with tf.device(checks.as_device(device)):
            for name in self.TENSORS:
                if fields[name] is not None:
                    fields[name] = tf.identity(as_tensor(fields[name], dtype))
            tensors = {name: fields[name] for name in self.TENSORS if fields[name] is not None}
            length = checks.other_length(tensors, solution_length)
            self.__dict__.update(self._checked(fields))
            if length is not None:
                self.__dict__["solution_length"] = length

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields as they are kept; raises unless they go together."""
        if not {"mu", "sigma"} <= set(self.TENSORS):
            return fields
        shapes.check_same(mu=fields["mu"], sigma=fields["sigma"])
        shapes.check_positive(sigma=fields["sigma"])
        return fields

    @property
    def solution_length(self) -> int:
        """The number D of dimensions of a solution."""
        return self.__dict__["solution_length"] if "solution_length" in self.__dict__ else self.mu.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Static shape of the batch of searches, a tuple."""
        if "mu" in self.TENSORS:
            return tuple(self.mu.shape[:-1])
        found = {tuple(x.shape) for x in self._tensors()}
        shape = found.pop()
        return shape[:-1] if not found and shape[-1:] == (self.solution_length,) else ()

    def modified_copy(
        self, *, dtype: str | tf.DType | None = None, device: str | None = None, **parameters: Any
    ) -> Self:
        """The same distribution with another dtype, device or other parameters."""
        return type(self)(
            self.parameters | parameters,
            solution_length=self.__dict__.get("solution_length"),
            dtype=dtype or self.dtype,
            device=device or self.device or None,
        )

    def to(self, device: str) -> Self:
        """The same distribution on another device: a new value."""
        return self.modified_copy(device=device)

    def clone(self) -> Self:
        """The distribution itself: nothing can change it."""
        return self

    # Sampling.

    def sample(
        self,
        num_solutions: Integer | float | None = None,
        *,
        out: tf.Variable | None = None,
        generator: Seed = None,
    ) -> Tensor:
        """Draw solutions.

        Parameters
        ----------
        num_solutions : int
            How many, also as a whole float; or else
        out : tf.Variable, shape [B..., N, D]
            What to fill.
        generator : None, int, keras.random.SeedGenerator, key, or an object with one as its `generator`
            See `kgdists.random`.

        Returns
        -------
        tensor, shape [B..., num_solutions, D], or `out`.
        """
        if (num_solutions is None) == (out is None):
            raise ValueError(
                f"`sample` takes either `num_solutions` or `out`. "
                f"Received: num_solutions={num_solutions}, out={'None' if out is None else 'a variable'}"
            )
        key = random.key(getattr(generator, "generator", generator))
        if out is None:
            number: Any = num_solutions
            if isinstance(number, float | np.floating) and float(number).is_integer():
                number = int(number)
            return self.sample_rows(key, 0, number)
        checks.check_population(out, "out", self.batch_shape, self.solution_length)
        out.assign(tf.cast(self.sample_rows(key, 0, out.shape[-2]), out.dtype))
        return out

    def sample_rows(self, key: Tensor, first_row: Integer | Tensor, num_rows: Integer) -> Tensor:
        """Some rows of the population that `sample` draws with a key, made without what comes before them.

        Parameters
        ----------
        key : integer tensor, shape [2]
        first_row : int or integer scalar tensor
        num_rows : int

        Returns
        -------
        tensor, shape [B..., num_rows, D].
        """
        return self._from_noise(self.noise_rows(key, first_row, num_rows))

    def noise_rows(self, key: Tensor, first_row: Integer | Tensor, num_rows: Integer) -> Tensor:
        """The standard normal numbers that `sample_rows` makes those rows of, for `noise_sums`."""
        return self._noise(key, first_row, num_rows)

    def _noise(self, key: Tensor, first_row: Integer | Tensor, num_rows: Integer) -> Tensor:
        """Standard normal numbers [B..., num_rows, D]: different ones for each search."""
        num_rows = count("num_solutions", num_rows)
        batch, length = self.batch_shape, self.solution_length
        columns = int(np.prod(batch)) * length
        numbers = hashed_normal.normal(key, first_row, num_rows, columns, self.dtype)
        if not batch:
            return numbers
        numbers = tf.reshape(numbers, (num_rows, columns // length, length))
        return tf.reshape(tf.transpose(numbers, (1, 0, 2)), (*batch, num_rows, length))

    def _from_noise(self, z):
        """Solutions of standard normal numbers."""
        self._check_gaussian("_from_noise")
        return self.mu[..., None, :] + self.sigma[..., None, :] * z

    def _to_noise(self, samples):
        """The standard normal numbers of solutions."""
        self._check_gaussian("_compute_gradients")
        return (samples - self.mu[..., None, :]) / self.sigma[..., None, :]

    # Gradients, in three steps, of which the second is a sum over samples: sums over parts of a population add up.

    def compute_gradients(
        self, samples: TensorLike, fitnesses: TensorLike, *, objective_sense: str, ranking_method: str | None = None
    ) -> dict[str, Tensor]:
        """Estimate the natural gradient of the expected utility.

        Parameters
        ----------
        samples : tensor, shape [B..., N, D]
        fitnesses : tensor or sequence of real numbers, shape [B..., N]
            They are ranked as they are, in their own dtype.
        objective_sense : {"min", "max"}
        ranking_method : str, optional
            See `kgdists.evolution.rank`; None is `"raw"`.

        Returns
        -------
        dict
            What `update_parameters` takes.

        Raises
        ------
        ValueError
            On wrong shapes and numbers, and on samples that are not finite.
        """
        samples, fitnesses = self.population(samples, fitnesses)
        weights = self.weights(fitnesses, objective_sense=objective_sense, ranking_method=ranking_method)
        return self._compute_gradients(samples, weights, ranking_method or "raw")

    def _compute_gradients(self, samples: Tensor, weights: Tensor, ranking_used: str) -> dict[str, Tensor]:
        """What a class of another kind may define as a whole; the weights are those of the ranking."""
        return self.gradients(self.weighted_sums(samples, weights), weights)

    def population(self, samples: TensorLike, fitnesses: TensorLike) -> tuple[Tensor, Tensor]:
        """Samples [B..., N, D] and their fitnesses [B..., N] as tensors; raises a ValueError unless they fit."""
        rows, numbers = as_tensor(samples, self.dtype), as_fitnesses(fitnesses)
        checks.check_population(rows, "samples", self.batch_shape, self.solution_length)
        if numbers.shape != rows.shape[:-1]:
            raise ValueError(
                f"`fitnesses` must have one number for each of `samples`. "
                f"Received: fitnesses of shape {tuple(numbers.shape)}, samples of shape {tuple(rows.shape)}"
            )
        shapes.check_finite(samples=rows)
        return rows, numbers

    def weights(self, fitnesses: TensorLike, *, objective_sense: str, ranking_method: str | None = None) -> Tensor:
        """What each sample counts, shape [B..., N]: nothing if all are alike. Arguments as in `compute_gradients`."""
        choice("objective_sense", objective_sense, SENSES)
        method = choice("ranking_method", "raw" if ranking_method is None else ranking_method, METHODS)
        return tf.cast(self._weights(as_fitnesses(fitnesses), method, objective_sense == "max"), self.dtype)

    def _weights(self, fitnesses, method, higher_is_better):
        ranked = utilities(fitnesses, method, higher_is_better)
        alike = tf.reduce_max(ranked, -1, keepdims=True) == tf.reduce_min(ranked, -1, keepdims=True)
        return tf.where(~alike, self._balanced(ranked, method), 0.0)

    def _balanced(self, utilities, method):
        """Weights of sum 0: no utility that is common to all moves anything."""
        if method in ("centered", "normalized"):
            return utilities
        return utilities - tf.reduce_mean(utilities, axis=-1, keepdims=True)

    def weighted_sums(self, samples: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Sums over samples, of rows of a population [B..., n, D] and their weights [B..., n]: a dict of tensors."""
        return self.noise_sums(self._to_noise(samples), weights)

    def noise_sums(self, z: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The same of the standard normal numbers of samples.

        A searcher that draws them again, by `noise_rows`, knows them exactly. Those of samples that differ by little
        more than rounding do not tell what was drawn.
        """
        return {
            "mu": tf.linalg.matvec(z, weights, transpose_a=True),
            "sigma": tf.linalg.matvec(z**2, weights, transpose_a=True),
        }

    def gradients(self, sums: dict[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
        """The gradients of a population: of its sums and of all its weights."""
        raise NotImplementedError

    def update_parameters(
        self,
        gradients: Mapping[str, TensorLike],
        *,
        learning_rates: Mapping[str, TensorLike | None] | None = None,
        optimizers: Mapping[str, Any] | None = None,
    ) -> Self:
        """The distribution a step further.

        Parameters
        ----------
        gradients : dict
            What `compute_gradients` returned.
        learning_rates : dict, optional
            What gradients are multiplied by, numbers by name.
        optimizers : dict, optional
            Instead of a learning rate, an object with a method `ascent(gradient) -> step`.

        Returns
        -------
        A new distribution.
        """
        raise NotImplementedError

    def _steps(
        self,
        gradients: Mapping[str, TensorLike],
        learning_rates: Mapping[str, TensorLike | None] | None,
        optimizers: Mapping[str, Any] | None,
    ) -> list[Tensor]:
        """The step of each gradient, in the order of `GRADIENTS`."""
        rates, optimizers = self._by_gradient(learning_rates), self._by_gradient(optimizers)
        defaults = {name: self._learning_rate(name) for name in self.GRADIENTS}
        return steps(gradients, defaults, rates, optimizers, self.dtype)

    def _by_gradient(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """A dict by the names of gradients, without the values that are None."""
        return by_gradient(given, self.GRADIENTS)

    @staticmethod
    def _positive(sigma):
        """Standard deviations that have not underflowed: where samples differ by less than rounding they never grow."""
        return tf.maximum(sigma, np.finfo(sigma.dtype.as_numpy_dtype).tiny)

    def _learning_rate(self, name: str) -> float:
        return 1.0

    def relative_entropy(self, other: Self) -> Tensor:
        """The Kullback-Leibler divergence to `other`, of the same type and shape: shape [B...], >= 0, in nats."""
        self._check_gaussian("relative_entropy")
        self._check_other(other)
        variance = other.sigma**2
        change = 2.0 * tf.math.log(self.sigma / other.sigma)
        return 0.5 * tf.reduce_sum(special.expm1_minus(change) + (self.mu - other.mu) ** 2 / variance, axis=-1)

    def kl_divergence(self, other: Self) -> Tensor:
        """The same as `relative_entropy`, by the name that distributions have for it."""
        return self.relative_entropy(other)

    def _check_gaussian(self, method):
        if not {"mu", "sigma"} <= set(self.TENSORS):
            raise NotImplementedError(
                f"A distribution of parameters other than `mu` and `sigma` must define `{method}`. "
                f"Received: {type(self).__name__} of {listed(self.TENSORS)}"
            )

    def _check_other(self, other):
        if type(other) is not type(self):
            raise ValueError(
                f"`other` must be of the same type, {type(self).__name__}. Received: {type(other).__name__}"
            )
        shapes.check_same(mu=self.mu, **{"mu of other": other.mu})
