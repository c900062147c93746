"""Searches in compiled environments: a generation in one program is that of one stepped in Python."""

import numpy as np
import pytest

import kgdists as kg
from kgdists.evolution import PolicySearch
from tests.envs.functional.test_stepping import Counter

SMALL = {"searcher": "snes", "popsize": 16, "stdev_init": 0.5, "hidden_units": (4,), "seed": 0}


def searched(env, vectorization, generations=2, **options):
    agent = kg.agents.ES(env, vectorization=vectorization, **SMALL | options)
    for _ in range(generations):
        history = agent.learn(1, verbose=0)
    return agent, history


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("env", "options"),
    [
        ("CartPole-v1", {"normalize_observations": True, "max_steps": 60}),
        ("CartPole-v1", {"sample_actions": True, "episodes": 2, "max_steps": 60}),
        ("Pendulum-v1", {"num_envs": 6, "max_steps": 30}),
        ("Acrobot-v1", {"episodes": 3, "num_envs": 8, "max_steps": 30}),
    ],
)
@pytest.mark.filterwarnings("ignore:.* episodes were cut off:UserWarning")
def test_a_generation_is_that_of_one_stepped_in_python(env, options):
    (whole, history), (stepped, expected) = (
        searched(kg.envs.compiled(env), x, **options) for x in ("compiled", "sync")
    )
    assert whole.is_compiled and not stepped.is_compiled and whole.steps == stepped.steps
    for name, x in whole.arrays().items():
        np.testing.assert_allclose(x, stepped.arrays()[name], rtol=1e-5, atol=1e-7, err_msg=name)
    for x, y in zip(whole.policy.variables, stepped.policy.variables, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(history.history["best_fitness"], expected.history["best_fitness"], rtol=1e-6)


@pytest.mark.exhaustive
def test_a_search_finds_a_policy():
    agent = kg.agents.ES("CartPole-v1", searcher="pgpe", popsize=50, stdev_init=0.5, vectorization="compiled", seed=0)
    agent.learn(1_000_000, verbose=0)
    assert agent.evaluate(20, seed=0).mean > 400.0


@pytest.mark.exhaustive
def test_infos_and_evaluations():
    agent, history = searched(Counter(), "auto", log_info=("count",))
    assert history.history["count"] == [5.0] and agent.is_compiled
    assert agent.evaluate(3, seed=0).lengths == (5, 5, 5)
    assert (
        PolicySearch(agent.policy, Counter(), "snes", popsize=16, stdev_init=0.5, seed=0).evaluate(4).lengths
        == (5,) * 4
    )


def test_auto_compiles_from_sixteen_environments_on():
    kinds = [kg.agents.ES("CartPole-v1", **SMALL | {"popsize": n}).is_compiled for n in (8, 16)]
    assert kinds == [False, True]
    with pytest.raises(ValueError, match="There must be a compiled environment"):
        kg.agents.ES("Blackjack-v1", vectorization="compiled", **SMALL)
