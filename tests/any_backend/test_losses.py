"""Losses and returns on any backend."""

import numpy as np

from kgdists import CategoricalDist, losses, returns
from tests.golden import assert_close, cases


def test_vtrace():
    for case in cases("gae", "vtrace"):
        inputs = {name: np.asarray(x, "float32") for name, x in case["inputs"].items()}
        got, values = returns.vtrace(
            inputs["rewards"],
            inputs["values"],
            np.append(inputs["values"][1:], inputs["last_value"]),
            inputs["discounts"] == 0.0,
            np.zeros(len(inputs["values"]), bool),
            inputs["log_rhos"],
            case["inputs"]["discounts"][-1],
            case["inputs"]["lambda"],
            clip_rho=case["inputs"]["clip_rho_threshold"],
        )
        assert_close(values, case["expected"]["targets"], 1e-5, case["scale"]["targets"], case["id"])
        assert_close(got + inputs["values"], case["expected"]["q_estimates"], 1e-5, case["scale"]["targets"])


def test_n_step():
    rewards, values, no = np.ones(3, "float32"), np.full(3, 8.0, "float32"), np.zeros(3, bool)
    assert_close(returns.n_step(rewards, values, no, no, gamma=0.5, n=2), [3.5, 3.5, 5.0], 1e-6)


def test_imitation_and_the_expectation_over_choices():
    pi, log_two = CategoricalDist([[0.0, 0.0]]), np.log(2.0)
    assert_close(losses.cross_entropy(pi, pi), log_two, 1e-6)
    values = np.array([[1.0, 3.0]], "float32")
    assert_close(losses.sac_actor_discrete(pi.log_probs, values, 0.5), -0.5 * log_two - 2.0, 1e-6)
