"""Heavy observations are looked at piece by piece, with the results of all at once."""

import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents import PPO, ppo
from kgdists.agents.looking_back import in_pieces
from tests.agents.helpers import Counter, Noise, Trap, weights
from tests.marks import exhaustive

SETTINGS = {
    "defaults": {},
    "trust region": {"vtrace": True, "kl_coef": 0.1, "adaptive_kl": 0.01, "normalize_rewards": True},
    "statistics": {"normalize_observations": True, "batch_size": 20},
    "masks": {"env": Trap},
    "cut off": {"env": lambda: Counter(2, end="truncated")},
}


@pytest.mark.exhaustive
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", SETTINGS)
def test_an_update_in_pieces_is_that_of_all_at_once(name, monkeypatch):
    settings = {"env": Noise, "num_envs": 2, "n_steps": 10, "batch_size": 4, "n_epochs": 2, "hidden_units": (4,)}

    def trained(is_heavy):
        monkeypatch.setattr(ppo, "is_heavy", lambda _: is_heavy)
        agent = PPO(**settings | {"seed": 0} | SETTINGS[name])
        metrics = agent.learn(40).history
        return weights(agent), [metrics[x] for x in ("value_loss", "kl", "explained_variance", "entropy")]

    for one, other in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_rollout_that_is_given_is_one_of_frames(eagerly, monkeypatch):
    monkeypatch.setattr(ppo, "is_heavy", lambda _: True)
    own, given = (PPO(Noise, num_envs=2, n_steps=4, batch_size=8, n_epochs=1, seed=0) for _ in range(2))
    own.learn(8)
    given.update(*given._collect())
    np.testing.assert_allclose(weights(own), weights(given), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [3, *exhaustive(1, 7, 20)])
def test_a_function_in_pieces_is_that_of_all_rows(size):
    x = tf.random.stateless_normal((9, 2), (0, 0))
    found = tf.function(lambda x: in_pieces(lambda x: {"a": x * 2.0, "b": x[:, 0]}, (x,), 7, size))(x)
    np.testing.assert_array_equal(found["a"], x[:7] * 2.0)
    np.testing.assert_array_equal(found["b"], x[:7, 0])
