"""That `check_distribution` finds what is wrong. What passes it is in tests/any_backend."""

import keras
import numpy as np
import pytest
from keras import ops

import kgdists as kg
from kgdists.testing import check_distribution


class WrongEntropy(kg.NormalDist):
    def entropy(self):
        return super().entropy() + 0.1


class WrongCrossEntropy(kg.NormalDist):
    def cross_entropy(self, other):
        return super().cross_entropy(other) + 0.1


class NegativeDivergence(kg.NormalDist):
    def kl_divergence(self, other):
        return -super().kl_divergence(other)


class ReverseDivergence(kg.NormalDist):
    def kl_divergence(self, other):
        return kg.NormalDist.kl_divergence(other, self)


class DivergenceToItself(kg.NormalDist):
    def kl_divergence(self, other):
        return super().kl_divergence(other) + 0.01


class WideDraws(kg.NormalDist):
    def sample(self, sample_shape=(), seed=None):
        return self.mu + 1.1 * (super().sample(sample_shape, seed) - self.mu)


class AverageDensity(kg.NormalDist):
    def log_proba(self, x):
        return super().log_proba(x) / self.event_shape[0]


class DoubledDensity(kg.RelaxedOneHotCategorical):
    """Without any closed form."""

    def log_proba(self, x):
        return 2.0 * super().log_proba(x)

    def sample_and_log_proba(self, sample_shape=(), seed=None):
        x = self.sample(sample_shape, seed)
        return x, self.log_proba(x)


class UnnormalisedNormal(kg.NormalDist):
    def log_proba(self, x):
        return super().log_proba(x) + 0.2


class UnnormalisedChoice(kg.CategoricalDist):
    def log_proba(self, x):
        return super().log_proba(x) - 0.2


class ShiftedActions(kg.CategoricalDist):
    def sample_action(self, seed=None):
        return (super().sample_action(seed) + 1) % self.num_categories


class WrongMean(kg.NormalDist):
    def mean(self):
        return 1.1 * self.mu + 0.1


class WrongVariance(kg.NormalDist):
    def variance(self):
        return ops.exp(0.5 * self.logvar)


class StoppedDraws(kg.NormalDist):
    def sample(self, sample_shape=(), seed=None):
        return ops.stop_gradient(super().sample(sample_shape, seed))


class StoppedDensity(kg.NormalDist):
    def log_proba(self, x):
        return kg.NormalDist(ops.stop_gradient(self.mu), self.logvar).log_proba(x)


class NoGradient(kg.NormalDist):
    def entropy(self):
        return ops.stop_gradient(super().entropy())


class NanGradient(kg.NormalDist):
    def entropy(self):
        return super().entropy() + ops.sum(ops.where(self.mu > 9.0, ops.log(0.0 * self.mu), 0.0), axis=-1)


class LostField(kg.NormalDist):
    def __init__(self, mu, logvar, name="lost", random_seed=None):
        super().__init__(mu, logvar, name, random_seed)
        self.set_fields(units="m")


class ListField(kg.NormalDist):
    STATIC_NAMES = ("name", "units")

    def __init__(self, mu, logvar, units=(), name="list", random_seed=None):
        super().__init__(mu, logvar, name, random_seed)
        self.set_fields(units=list(units))


class ConfigChanges(kg.NormalDist):
    def __init__(self, mu, logvar, name="", random_seed=None):
        super().__init__(mu, logvar, name + "!", random_seed)


class IgnoredSeed(kg.NormalDist):
    def sample(self, sample_shape=(), seed=None):
        return super().sample(sample_shape)


class OneDraw(kg.NormalDist):
    def sample(self, sample_shape=(), seed=None):
        return super().sample(sample_shape, 3)


class RepeatedGenerator(kg.NormalDist):
    def sample(self, sample_shape=(), seed=None):
        return super().sample(sample_shape, seed if isinstance(seed, int) else 3)


class SumOfNothing(kg.NormalDist):
    def log_proba(self, x):
        return -0.5 * (x - self.mu) ** 2


class HalfDensity(kg.NormalDist):
    def log_proba(self, x):
        return ops.cast(super().log_proba(x), "float16")


class OtherMode(kg.CategoricalDist):
    def mode(self):
        return super().mean()

    def mode_action(self):
        return super().mode_action()[..., None]


class ShiftedFunction(kg.NormalDist):
    def cdf(self, x):
        return super().cdf(x) + 0.05


class OtherTail(kg.NormalDist):
    def log_survival(self, x):
        return super().log_cdf(x)


class OtherSlope(kg.NormalDist):
    def elementwise_log_proba(self, x):
        return super().elementwise_log_proba(x) + 0.1


class HighQuantile(kg.NormalDist):
    def quantile(self, q):
        return super().quantile(q) + 0.2 * self.stddev()


class HalfScore(kg.NormalDist):
    def crps(self, x):
        return super().crps(x) - 0.1


class InfiniteDensity(kg.NormalDist):
    def log_proba(self, x):
        return ops.where(ops.any(x > 2.0, axis=-1), -float("inf"), super().log_proba(x))


VECTORS = np.random.default_rng(0).normal(size=(2, 2, 3)).astype("float32")
BROKEN = {
    ShiftedFunction: "cdf differs from the share of draws at or below",
    OtherTail: "log_survival differs from the logarithm",
    OtherSlope: "cdf does not grow by the density",
    HighQuantile: "quantile is above its level",
    HalfScore: "crps differs from that of draws",
    WrongEntropy: "entropy differs from its Monte Carlo estimate: ",
    WrongCrossEntropy: "cross_entropy differs from its Monte Carlo estimate: ",
    NegativeDivergence: "kl_divergence is negative: -",
    ReverseDivergence: "kl_divergence differs from its Monte Carlo estimate: ",
    DivergenceToItself: "kl_divergence to itself is not 0: 0.01 and 0",
    WideDraws: "mean over draws of the gradient of log_proba in `logvar` is not 0: ",
    AverageDensity: "draws of p and of a neighbour q are not weighed by q / p: ",
    DoubledDensity: "draws of p and of a neighbour q are not weighed by q / p: ",
    UnnormalisedNormal: r"integral of exp\(log_proba\) over a box differs from the share of draws in it: 1.2",
    UnnormalisedChoice: r"frequency of the action \[\d\] differs from its probability: ",
    ShiftedActions: "mean over draws of the gradient of log_proba in `logits` is not 0: ",
    WrongMean: "mean differs from that of draws: ",
    WrongVariance: "variance differs from that of draws: ",
    StoppedDraws: "gradient through sample in `mu` differs from that of the mean: ",
    StoppedDensity: "gradient through sample in `mu` differs from that of the mean: ",
    NoGradient: "gradient of entropy in `logvar` differs from central differences: 0 and ",
    NanGradient: "gradient of entropy in `mu` is not finite",
    LostField: r"keras.tree loses the fields \['units'\]: they must be among .* STATIC_NAMES of LostField",
    ListField: "static fields must be hashable: ",
    ConfigChanges: "config: static fields must be ",
    IgnoredSeed: "config changes the draws: |seed: two calls of sample",
    OneDraw: "seed: two successive calls of sample with one generator are equal",
    RepeatedGenerator: "seed: two successive calls of sample with one generator are equal",
    SumOfNothing: r"shape of sample_and_log_proba\(\(\)\)\[1\] must be \(2,\). Received: \(2, 3\)",
    HalfDensity: "dtype of log_proba must be float32. Received: float16",
    OtherMode: r"shape of mode_action must be \(2,\). Received: \(2, 1\)",
    InfiniteDensity: "log_proba of a draw is not finite: -inf",
}


@pytest.mark.few(4)
@pytest.mark.parametrize("broken, message", BROKEN.items(), ids=[broken.__name__ for broken in BROKEN])
def test_what_is_broken_is_named(broken, message):
    if issubclass(broken, kg.RelaxedOneHotCategorical):
        dist = broken(0.5, logits=VECTORS[0])
    else:
        dist = broken(*VECTORS[: len(broken.PARAM_NAMES)])
    with pytest.raises(AssertionError, match=message):
        check_distribution(dist)


class Laplace(kg.Distribution):
    """What a user writes: no closed form but that of the entropy."""

    PARAM_NAMES = ("mu", "scale")
    STATIC_NAMES = ("name",)

    def __init__(self, mu, scale, *, name="laplace", random_seed=None):
        self.set_fields(mu=mu, scale=scale, name=name, random_seed=random_seed)

    def sample(self, sample_shape=(), seed=None):
        u = kg.random.uniform(self.draw_shape(sample_shape), self.generator(seed))
        u = ops.cast(u, self.dtype) - 0.5
        return self.mu - self.scale * ops.sign(u) * ops.log1p(-2.0 * ops.abs(u))

    def log_proba(self, x):
        return -ops.sum(ops.abs(self.as_variate(x) - self.mu) / self.scale + ops.log(2.0 * self.scale), axis=-1)

    def entropy(self):
        return ops.sum(1.0 + ops.log(2.0 * self.scale), axis=-1)


class DrawnByKeras(Laplace):
    def sample(self, sample_shape=(), seed=None):
        u = keras.random.uniform(self.draw_shape(sample_shape), seed=self.generator(seed), dtype=self.dtype) - 0.5
        return self.mu - self.scale * ops.sign(u) * ops.log1p(-2.0 * ops.abs(u))


def test_a_sampler_that_agents_cannot_draw_from_is_named():
    with pytest.raises(AssertionError, match="seed: sample cannot draw from a key, as agents do; draw by `kgdists"):
        check_distribution(DrawnByKeras(*VECTORS))


class WithoutEntropy(Laplace):
    def entropy(self):
        return ops.sum(self.lacking, axis=-1)


def test_a_method_that_fails_is_named():
    with pytest.raises(AssertionError, match="^shapes and dtypes: AttributeError: .* no attribute 'lacking'"):
        check_distribution(WithoutEntropy(*VECTORS))


def test_ones_own_half_precision_and_symbolic_draws_need_no_decorators():
    half = Laplace(*ops.cast(VECTORS, "float16"))
    wide = Laplace(*ops.cast(ops.cast(VECTORS, "float16"), "float32"))
    assert half.entropy().dtype == "float16"
    np.testing.assert_array_equal(half.sample(5, seed=0), ops.cast(wide.sample(5, seed=0), "float16"))
    mu, scale = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([mu, scale], Laplace(mu, scale).sample())
    assert model([np.zeros((3, 2)), np.ones((3, 2))]).shape == (3, 2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_distribution_of_ones_own_passes(batch):
    rng = np.random.default_rng(0)
    check_distribution(Laplace(ops.convert_to_tensor(rng.normal(size=(*batch, 2))), ops.ones((*batch, 2), "float64")))


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_dtype_passes(dtype):
    check_distribution(kg.NormalDist(*ops.cast(VECTORS, dtype)))


@pytest.mark.exhaustive
def test_a_distribution_without_spread_passes():
    check_distribution(kg.CategoricalDist([[0.0, -np.inf], [-np.inf, 0.0]]))


@pytest.mark.exhaustive
def test_the_global_random_state_decides_nothing():
    messages = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        with pytest.raises(AssertionError) as error:
            check_distribution(WrongEntropy(*VECTORS))
        messages.append(str(error.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("num_samples", [10, 1000.0, None])
def test_too_few_samples_are_an_error(num_samples):
    with pytest.raises(ValueError, match="`num_samples` must be an int >= 1000. Received: num_samples="):
        check_distribution(kg.NormalDist(*VECTORS), num_samples=num_samples)


def test_only_distributions_are_checked():
    with pytest.raises(TypeError, match="`dist` must be a Distribution. Received: str"):
        check_distribution("normal")
