"""Whole numbers, wherever one is asked for: of Python or NumPy, and neither flags nor floats."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box

import kgdists as kg
from kgdists.core.checks import count, is_count
from tests.agents.helpers import Bandit, small
from tests.marks import quick

layers, divergences, agents, evolution = kg.layers, kg.divergences, kg.agents, kg.evolution
P, Q = kg.NormalDist([0.0], [0.0]), kg.NormalDist([1.0], [0.0])
X = np.linspace(0.0, 1.0, 12, dtype="float32").reshape(6, 2)
CONFIGS = (agents.PPOConfig, agents.A2CConfig, agents.REINFORCEConfig, agents.SACConfig, agents.ESConfig)


def searcher(**options):
    return evolution.SNES(
        lambda x: tf.reduce_sum(x**2, -1), objective_sense="min", **{"solution_length": 2, "stdev_init": 1.0} | options
    )


# By the name of the argument in errors: what is called with a count.
TAKERS = {
    "num_dims NormalHead": layers.NormalHead,
    "num_dims NormalHead, state-dependent": lambda n: layers.NormalHead(n, state_dependent=True),
    "num_dims SquashedNormalHead": layers.SquashedNormalHead,
    "num_dims ClippedNormalHead": layers.ClippedNormalHead,
    "num_dims StateDependentNormalHead": layers.StateDependentNormalHead,
    "num_dims MultivariateNormalHead": layers.MultivariateNormalHead,
    "num_dims DiscretizedLogisticHead": lambda n: layers.DiscretizedLogisticHead(n, 0, 5),
    "num_dims BetaHead": layers.BetaHead,
    "num_dims BernoulliHead": layers.BernoulliHead,
    "num_categories CategoricalHead": layers.CategoricalHead,
    "num_categories RelaxedOneHotHead": layers.RelaxedOneHotHead,
    "num_components GaussianMixtureHead": lambda n: layers.GaussianMixtureHead(n, 2),
    "num_dims GaussianMixtureHead": lambda n: layers.GaussianMixtureHead(2, n),
    "nvec MultiCategoricalHead": lambda n: layers.MultiCategoricalHead([3, n]),
    "sample_shape Distribution": lambda n: P.sample((n,)),
    "num_samples divergences.entropy": lambda n: divergences.entropy(P, num_samples=n),
    "chunk_size divergences.entropy": lambda n: divergences.entropy(P, num_samples=4, chunk_size=n),
    "num_samples divergences.kl_divergence": lambda n: divergences.kl_divergence(P, Q, num_samples=n),
    "num_samples divergences.elbo": lambda n: divergences.elbo(P, Q, num_samples=n),
    "num_samples divergences.reverse_kl_loss": lambda n: divergences.reverse_kl_loss(P, Q, num_samples=n),
    "n returns.n_step": lambda n: kg.returns.n_step(X, X, X > 2.0, X > 2.0, 0.9, n),
    "num_components mixtures.fit": lambda n: kg.mixtures.fit(X, n, iterations=1),
    "iterations mixtures.fit": lambda n: kg.mixtures.fit(X, 2, iterations=n),
    "restarts mixtures.fit": lambda n: kg.mixtures.fit(X, 2, iterations=1, restarts=n),
    "popsize SNES": lambda n: searcher(popsize=n),
    "solution_length SNES": lambda n: searcher(solution_length=n),
    "num_generations SNES": lambda n: searcher(popsize=4).run(n),
    "num_envs make_envs": lambda n: kg.envs.make_envs(Bandit, n).close(),
    "episodes evaluate": lambda n: small(Bandit).evaluate(episodes=n),
    "episodes EvaluateAndKeepBest": lambda n: agents.EvaluateAndKeepBest(Bandit, "best.keras", episodes=n),
    "every_steps EvaluateAndKeepBest": lambda n: agents.EvaluateAndKeepBest(Bandit, "best.keras", every_steps=n),
}
CHEAP = [name for name in TAKERS if not name.endswith((".fit", "learn", "evaluate", "SNES", "_loss", "elbo"))]
FIELDS = [
    (config, field.name)
    for config in CONFIGS
    for field in dataclasses.fields(config)
    if field.type in (int, int | None) and field.name != "seed"
]


@pytest.mark.usefixtures("eagerly")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("taker", "call"), quick(CHEAP, {name: (name, call) for name, call in TAKERS.items()}))
def test_a_count_is_an_integer_of_python_or_numpy(taker, call):
    for number in (np.int64(2), np.array(2)):
        call(number)
    name = taker.partition(" ")[0]
    for wrong in (True, np.True_, 2.0, np.float32(2.0), -1, "2"):
        with pytest.raises(ValueError, match=f"`{name}` must be .*Received: "):
            call(wrong)


@pytest.mark.parametrize(("config", "name"), FIELDS, ids=[f"{config.__name__} {name}" for config, name in FIELDS])
def test_a_setting_that_is_a_count_is_an_integer_of_python_or_numpy(config, name):
    given = getattr(config(), name) or 2
    found = getattr(config(**{name: np.int32(given)}), name)
    assert found == given and type(found) is int
    for wrong in (True, float(given), np.float64(given), -1, str(given)):
        with pytest.raises(ValueError, match=f"`{name}` must be .*int.* Received: {name}="):
            config(**{name: wrong})


@pytest.mark.parametrize("config", CONFIGS)
def test_widths_and_seeds_of_settings_are_integers_too(config):
    found = config(hidden_units=(np.int64(8), 4), seed=np.int64(3))
    assert found.hidden_units == (8, 4) and {type(x) for x in (*found.hidden_units, found.seed)} == {int}
    for settings in ({"hidden_units": (True,)}, {"hidden_units": (2.0,)}, {"hidden_units": 4}, {"seed": True}):
        with pytest.raises(ValueError, match=f"`{[*settings][0]}` must be "):
            config(**settings)
    with pytest.raises(ValueError, match=r"`seed` must be None or an int from 0 to 2\*\*62. Received: seed=-1"):
        config(seed=-1)


def test_bounds_are_part_of_the_rule():
    assert count("x", 0, least=0) == 0 and count("x", None, optional=True) is None
    assert not is_count(5, most=4) and is_count(tf.constant(3))
    for options, rule in (({}, "an int >= 1"), ({"most": 3}, "an int from 1 to 3"), ({"least": 0}, "an int >= 0")):
        with pytest.raises(ValueError, match=f"`x` must be {rule}. Received: x=-2"):
            count("x", -2, **options)


# By the name of the argument in errors: what is called with a number > 0.
POSITIVES = {
    "boltzmann_tau CategoricalDist": lambda x: kg.CategoricalDist([0.0, 1.0], boltzmann_tau=x),
    "boltzmann_tau BernoulliDist": lambda x: kg.BernoulliDist([0.0, 1.0], boltzmann_tau=x),
    "gumbel_tau GaussianMixtureDist": lambda x: kg.GaussianMixtureDist([0.0], [[1.0]], [[0.0]], gumbel_tau=x),
    "temperature RelaxedOneHotHead": lambda x: layers.RelaxedOneHotHead(3, temperature=x),
    "clip RunningNormalization": lambda x: layers.RunningNormalization(clip=x),
    "epsilon RunningNormalization": lambda x: layers.RunningNormalization(epsilon=x),
    "initial_stddev PPOConfig": lambda x: agents.PPOConfig(initial_stddev=x),
    "learning_rate A2CConfig": lambda x: agents.A2CConfig(learning_rate=x),
    "stdev_init ESConfig": lambda x: agents.ESConfig(stdev_init=x),
    "kB_T DiagonalGaussianMixture": lambda x: kg.targets.DiagonalGaussianMixture(
        np.zeros((1, 2)), np.ones((1, 2)), np.zeros(1), kB_T=x
    ),
}


@pytest.mark.parametrize(("taker", "call"), POSITIVES.items(), ids=POSITIVES)
def test_a_positive_number_is_of_python_or_numpy(taker, call):
    for good in (2, 0.5, np.float32(0.5), np.float64(0.5), np.int64(2)):
        call(good)
    name = taker.partition(" ")[0]
    for wrong in (True, np.True_, 0.0, -1.0, float("nan"), float("inf"), 10**400, "1"):
        with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
            call(wrong)


CHOICES = {
    "vectorization make_envs": lambda x: kg.envs.make_envs(Bandit, 1, x),
    "objective_sense SNES": lambda x: evolution.SNES(np.sum, objective_sense=x, solution_length=2, stdev_init=1.0),
    "ranking_method SNES": lambda x: searcher(ranking_method=x),
    "method rank": lambda x: evolution.rank([1.0, 2.0], x, higher_is_better=True),
    "type load_dataset": lambda x: kg.targets.DiagonalGaussianMixture.create_gmm40().load_dataset(x, 3),
    "family head_for": lambda x: kg.head_for(Box(-1.0, 1.0, (2,)), family=x),
    "activation PPOConfig": lambda x: agents.PPOConfig(activation=x),
}


@pytest.mark.parametrize(("taker", "call"), CHOICES.items(), ids=CHOICES)
def test_a_choice_is_one_of_some_texts(taker, call):
    name = taker.partition(" ")[0]
    for wrong in ("nothing", "", 3, ("max",), ["max"]):
        with pytest.raises(ValueError, match=f"`{name}` must be one of .*Received: "):
            call(wrong)
