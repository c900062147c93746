"""`SearchDistribution`: a Gaussian over solutions that moves towards higher fitness, as an immutable value."""

import keras
import numpy as np
import tensorflow as tf

from kgdists import random
from kgdists.core import backend, pytree, shapes
from kgdists.core.checks import count
from kgdists.evolution.ranking import METHODS, as_fitnesses, utilities
from kgdists.numerics import special
from kgdists.random import hashed_normal

__all__ = ["SearchDistribution", "as_tensor"]

SENSES = ("min", "max")


class SearchDistribution:
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

    MANDATORY_PARAMETERS: frozenset[str] = frozenset({"mu", "sigma"})
    OPTIONAL_PARAMETERS: frozenset[str] = frozenset()
    TENSORS: tuple[str, ...] = ("mu", "sigma")  # the other parameters are static
    GRADIENTS: tuple[str, ...] = ("mu", "sigma")

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "MANDATORY_PARAMETERS" in cls.__dict__ and "TENSORS" not in cls.__dict__:
            cls.TENSORS = tuple(sorted(cls.MANDATORY_PARAMETERS))
            if "GRADIENTS" not in cls.__dict__:
                cls.GRADIENTS = cls.TENSORS
        cls.MANDATORY_PARAMETERS = frozenset(cls.MANDATORY_PARAMETERS)
        cls.OPTIONAL_PARAMETERS = frozenset(cls.OPTIONAL_PARAMETERS)
        pytree.register(cls)

    def __init__(self, parameters, *, solution_length=None, dtype=None, device=None):
        self._check_names(parameters)
        absent = [name for name in self.MANDATORY_PARAMETERS if parameters[name] is None]
        if absent:
            raise ValueError(f"The parameters {_list(absent)} must have values. Received: None")
        first = "mu" if "mu" in self.TENSORS else self.TENSORS[0]
        dtype = _dtype(parameters[first]) if dtype is None else tf.as_dtype(dtype)
        if dtype not in (tf.float32, tf.float64):
            raise ValueError(f"`dtype` must be float32 or float64. Received: dtype={dtype.name}")
        fields = dict.fromkeys(self.OPTIONAL_PARAMETERS) | dict(parameters)
        with tf.device(_device(device)):
            for name in self.TENSORS:
                if fields[name] is not None:
                    fields[name] = tf.identity(as_tensor(fields[name], dtype))
            length = self._length(fields, solution_length)
            self.__dict__.update(self._checked(fields))
            if length is not None:
                self.__dict__["solution_length"] = length

    def _length(self, fields, given):
        """What of `solution_length` does not follow from `mu`; raises unless it and the parameters are right."""
        if "mu" in self.TENSORS:
            shapes.check_vector(mu=fields["mu"])
            length = fields["mu"].shape[-1]
            if given not in (None, length):
                raise ValueError(
                    f"`solution_length` must be the length of `mu`. "
                    f"Received: solution_length={given}, mu of shape {tuple(fields['mu'].shape)}"
                )
            shapes.check_finite(mu=fields["mu"])
            return None
        tensors = {name: fields[name] for name in self.TENSORS if fields[name] is not None}
        shapes.check_finite(**tensors)
        if given is None:
            lengths = {x.shape[-1] if x.shape.rank else None for x in tensors.values()}
            if len(lengths) != 1 or not min(lengths, key=str):
                found = ", ".join(f"{name} of shape {tuple(x.shape)}" for name, x in tensors.items())
                raise ValueError(
                    "`solution_length` must be given where it is not the last axis of all parameters. "
                    f"Received: {found}"
                )
            (given,) = lengths
        return count("solution_length", given)

    def _check_names(self, parameters):
        missing = self.MANDATORY_PARAMETERS - set(parameters)
        unknown = set(parameters) - self.MANDATORY_PARAMETERS - self.OPTIONAL_PARAMETERS
        if missing or unknown:
            rule = f"`parameters` must have {_list(self.MANDATORY_PARAMETERS)}"
            if self.OPTIONAL_PARAMETERS:
                rule += f" and may have {_list(self.OPTIONAL_PARAMETERS)}"
            raise ValueError(f"{rule}. Received: {_list(parameters)}")

    def _checked(self, fields):
        """The fields as they are kept; raises unless they go together."""
        if not {"mu", "sigma"} <= set(self.TENSORS):
            return fields
        shapes.check_same(mu=fields["mu"], sigma=fields["sigma"])
        shapes.check_positive(sigma=fields["sigma"])
        return fields

    def __setattr__(self, field, value):
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: {field} = {value!r}")

    def __delattr__(self, field):
        raise AttributeError(f"A {type(self).__name__} is immutable: make a new one. Received: del {field}")

    # The pytree. Unflattening skips `__init__`.

    def _flatten(self):
        static = tuple((name, self.__dict__[name]) for name in sorted(self.OPTIONAL_PARAMETERS - set(self.TENSORS)))
        if "solution_length" in self.__dict__:
            static += (("solution_length", self.solution_length),)
        return tuple(self.__dict__[name] for name in self.TENSORS), static, self.TENSORS

    @classmethod
    def _unflatten(cls, metadata, leaves):
        dist = object.__new__(cls)
        dist.__dict__.update(zip(cls.TENSORS, leaves, strict=True))
        dist.__dict__.update(metadata)
        return dist

    def __tf_flatten__(self):
        leaves, metadata, _ = self._flatten()
        return metadata, leaves

    @classmethod
    def __tf_unflatten__(cls, metadata, leaves):
        return cls._unflatten(metadata, leaves)

    def _with(self, **tensors):
        """The same distribution with other tensors, unchecked."""
        _, metadata, _ = self._flatten()
        return self._unflatten(metadata, [tensors.get(name, self.__dict__[name]) for name in self.TENSORS])

    # What it is made of.

    @property
    def parameters(self):
        """A new dict of the parameters that are set."""
        names = (*self.TENSORS, *sorted(self.OPTIONAL_PARAMETERS - set(self.TENSORS)))
        return {name: self.__dict__[name] for name in names if self.__dict__[name] is not None}

    @property
    def solution_length(self):
        """The number D of dimensions of a solution."""
        return self.__dict__["solution_length"] if "solution_length" in self.__dict__ else self.mu.shape[-1]

    @property
    def batch_shape(self):
        """Static shape of the batch of searches, a tuple."""
        if "mu" in self.TENSORS:
            return tuple(self.mu.shape[:-1])
        found = {tuple(x.shape) for x in self._tensors()}
        shape = found.pop()
        return shape[:-1] if not found and shape[-1:] == (self.solution_length,) else ()

    def _tensors(self):
        return [self.__dict__[name] for name in self.TENSORS if self.__dict__[name] is not None]

    @property
    def dtype(self):
        """Name of the dtype of parameters and samples."""
        return self._tensors()[0].dtype.name

    @property
    def device(self):
        """Where the parameters are."""
        return self._tensors()[0].device

    def __repr__(self):
        parameters = (
            f"{name}=<{x.dtype.name} {x.shape}>" if hasattr(x, "dtype") else f"{name}={x!r}"
            for name, x in self.parameters.items()
        )
        return f"{type(self).__name__}({', '.join(parameters)})"

    def modified_copy(self, *, dtype=None, device=None, **parameters):
        """The same distribution with another dtype, device or other parameters."""
        return type(self)(
            self.parameters | parameters,
            solution_length=self.__dict__.get("solution_length"),
            dtype=dtype or self.dtype,
            device=device or self.device or None,
        )

    def to(self, device):
        """The same distribution on another device: a new value."""
        return self.modified_copy(device=device)

    def clone(self):
        """The distribution itself: nothing can change it."""
        return self

    # Sampling.

    def sample(self, num_solutions=None, *, out=None, generator=None):
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
            if isinstance(num_solutions, float | np.floating) and float(num_solutions).is_integer():
                num_solutions = int(num_solutions)
            return self.sample_rows(key, 0, num_solutions)
        self._check_population(out, "out")
        out.assign(tf.cast(self.sample_rows(key, 0, out.shape[-2]), out.dtype))
        return out

    def sample_rows(self, key, first_row, num_rows):
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

    def noise_rows(self, key, first_row, num_rows):
        """The standard normal numbers that `sample_rows` makes those rows of, for `noise_sums`."""
        return self._noise(key, first_row, num_rows)

    def _noise(self, key, first_row, num_rows):
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

    def compute_gradients(self, samples, fitnesses, *, objective_sense, ranking_method=None):
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

    def _compute_gradients(self, samples, weights, ranking_used):
        """What a class of another kind may define as a whole; the weights are those of the ranking."""
        return self.gradients(self.weighted_sums(samples, weights), weights)

    def population(self, samples, fitnesses):
        """Samples [B..., N, D] and their fitnesses [B..., N] as tensors; raises a ValueError unless they fit."""
        samples, fitnesses = as_tensor(samples, self.dtype), as_fitnesses(fitnesses)
        self._check_population(samples, "samples")
        if fitnesses.shape != samples.shape[:-1]:
            raise ValueError(
                f"`fitnesses` must have one number for each of `samples`. "
                f"Received: fitnesses of shape {tuple(fitnesses.shape)}, samples of shape {tuple(samples.shape)}"
            )
        shapes.check_finite(samples=samples)
        return samples, fitnesses

    def weights(self, fitnesses, *, objective_sense, ranking_method=None):
        """What each sample counts, shape [B..., N]: nothing if all are alike. Arguments as in `compute_gradients`."""
        if objective_sense not in SENSES:
            raise ValueError(f"`objective_sense` must be one of {_list(SENSES)}. Received: {objective_sense!r}")
        method = "raw" if ranking_method is None else ranking_method
        if method not in METHODS:
            raise ValueError(f"`ranking_method` must be one of {', '.join(METHODS)}. Received: {ranking_method!r}")
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

    def weighted_sums(self, samples, weights):
        """Sums over samples, of rows of a population [B..., n, D] and their weights [B..., n]: a dict of tensors."""
        return self.noise_sums(self._to_noise(samples), weights)

    def noise_sums(self, z, weights):
        """The same of the standard normal numbers of samples.

        A searcher that draws them again, by `noise_rows`, knows them exactly. Those of samples that differ by little
        more than rounding do not tell what was drawn.
        """
        return {
            "mu": tf.linalg.matvec(z, weights, transpose_a=True),
            "sigma": tf.linalg.matvec(z**2, weights, transpose_a=True),
        }

    def gradients(self, sums, weights):
        """The gradients of a population: of its sums and of all its weights."""
        raise NotImplementedError

    def update_parameters(self, gradients, *, learning_rates=None, optimizers=None):
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

    def _steps(self, gradients, learning_rates, optimizers):
        """The step of each gradient, in the order of `GRADIENTS`."""
        learning_rates, optimizers = self._by_gradient(learning_rates), self._by_gradient(optimizers)
        if set(gradients) != set(self.GRADIENTS):
            raise ValueError(f"`gradients` must have {_list(self.GRADIENTS)}. Received: {_list(gradients)}")
        both = set(learning_rates) & set(optimizers)
        if both:
            raise ValueError(f"A gradient has a learning rate or an optimizer, not both. Received both: {_list(both)}")
        steps = []
        for name in self.GRADIENTS:
            gradient = as_tensor(gradients[name], self.dtype)
            if name in optimizers:
                gradient = optimizers[name].ascent(gradient)
            else:
                gradient *= as_tensor(learning_rates.get(name, self._learning_rate(name)), self.dtype)
            steps.append(gradient)
        return steps

    def _by_gradient(self, given):
        """A dict by the names of gradients, without the values that are None."""
        given = {name: value for name, value in (given or {}).items() if value is not None}
        unknown = set(given) - set(self.GRADIENTS)
        if unknown:
            raise ValueError(
                f"Learning rates and optimizers are those of {_list(self.GRADIENTS)}. Received: {_list(unknown)}"
            )
        return given

    @staticmethod
    def _positive(sigma):
        """Standard deviations that have not underflowed: where samples differ by less than rounding they never grow."""
        return tf.maximum(sigma, np.finfo(sigma.dtype.as_numpy_dtype).tiny)

    def _learning_rate(self, name):
        return 1.0

    def relative_entropy(self, other):
        """The Kullback-Leibler divergence to `other`, of the same type and shape: shape [B...], >= 0, in nats."""
        self._check_gaussian("relative_entropy")
        self._check_other(other)
        variance = other.sigma**2
        change = 2.0 * tf.math.log(self.sigma / other.sigma)
        return 0.5 * tf.reduce_sum(special.expm1_minus(change) + (self.mu - other.mu) ** 2 / variance, axis=-1)

    def kl_divergence(self, other):
        """The same as `relative_entropy`, by the name that distributions have for it."""
        return self.relative_entropy(other)

    def _check_gaussian(self, method):
        if not {"mu", "sigma"} <= set(self.TENSORS):
            raise NotImplementedError(
                f"A distribution of parameters other than `mu` and `sigma` must define `{method}`. "
                f"Received: {type(self).__name__} of {_list(self.TENSORS)}"
            )

    def _check_other(self, other):
        if type(other) is not type(self):
            raise ValueError(
                f"`other` must be of the same type, {type(self).__name__}. Received: {type(other).__name__}"
            )
        shapes.check_same(mu=self.mu, **{"mu of other": other.mu})

    def _check_population(self, samples, name):
        """Raise unless a tensor has the shape of a population."""
        shape, batch = tuple(samples.shape), self.batch_shape
        if len(shape) != len(batch) + 2 or shape[:-2] != batch or shape[-1] != self.solution_length or not shape[-2]:
            wanted = ", ".join(map(str, (*batch, "N", self.solution_length)))
            raise ValueError(f"`{name}` must have shape ({wanted}). Received: {name} of shape {shape}")


def as_tensor(x, dtype):
    """A tensor of a dtype; plain numbers keep all their digits up to the cast."""
    x = backend.unmasked(x)
    # Of plain numbers TensorFlow's `cast` makes float32 first.
    try:
        return tf.cast(np.asarray(x, "float64") if isinstance(x, list | tuple | float | int) else x, dtype)
    except (TypeError, ValueError, tf.errors.UnimplementedError) as error:
        raise ValueError(f"Parameters, samples and gradients must be tensors of numbers. Received: {x!r}") from error


def _dtype(mu):
    dtype = getattr(mu, "dtype", None)
    dtype = None if dtype is None else tf.as_dtype(dtype)
    return dtype if dtype is not None and dtype.is_floating else tf.as_dtype(keras.config.floatx())


def _device(name):
    try:
        return name if name is None else tf.DeviceSpec.from_string(name).to_string()
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"`device` must be as TensorFlow's, 'CPU:0' or 'GPU:0'. Received: device={name!r}") from error


def _list(names):
    return ", ".join(map(repr, sorted(names)))
