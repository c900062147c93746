import numpy as np
import pytest
from keras import ops

from kgdists import losses
from kgdists.returns import vtrace
from tests.golden import TOLERANCE, assert_close, cases
from tests.losses import LOG, close, gradients, tensors


def test_policy_gradient_by_hand():
    close(losses.policy_gradient(*tensors([-1.0, -2.0, -3.0], [2.0, 1.0, -1.0])), (2.0 + 2.0 - 3.0) / 3.0)


def test_policy_gradient_goes_through_the_log_probabilities():
    gradient, _ = gradients(losses.policy_gradient, [-1.0, -2.0], [3.0, -4.0])
    close(gradient, [-1.5, 2.0])


def test_policy_gradient_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"`advantages`.*Received: .*\(4,\), advantages of shape \(4, 1\)"):
        losses.policy_gradient(ops.zeros(4), ops.zeros((4, 1)))


def test_vtrace_by_hand():
    # The ratios are 0.5 and 4, of which the second is cut to 1.
    expected = -(0.5 * 2.0 * LOG(0.2) + 1.0 * -3.0 * LOG(0.4)) / 2.0
    close(losses.vtrace_policy_gradient(*tensors(LOG([0.2, 0.4]), LOG([0.4, 0.1]), [2.0, -3.0])), expected)


def test_vtrace_gradient_takes_the_ratio_as_a_constant():
    inputs = LOG([0.2, 0.4]), LOG([0.4, 0.1]), [2.0, -3.0]
    gradient, *others = gradients(losses.vtrace_policy_gradient, *inputs, clip_ratio=3.0)
    close(gradient, [-0.5 * 2.0 / 2.0, 3.0 * 3.0 / 2.0])
    assert others == [None, None]


def test_vtrace_on_the_policys_own_actions_is_the_policy_gradient():
    log_proba, advantages = [-0.3, -1.2], [1.0, -0.5]
    off, _, _ = gradients(losses.vtrace_policy_gradient, log_proba, log_proba, advantages)
    on, _ = gradients(losses.policy_gradient, log_proba, advantages)
    close(off, on)


def test_vtrace_with_a_ratio_beyond_the_float_range_stays_finite():
    gradient, _, _ = gradients(losses.vtrace_policy_gradient, [1e4, -1.0], [0.0, -1.0], [1.0, 1.0])
    close(gradient, [-0.5, -0.5])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in cases("gae", "vtrace")])
def test_vtrace_golden(case):
    # Their advantages hold the weights, which make the gradient: minus the weighted advantages over their number.
    inputs, (log_rhos, values) = case["inputs"], tensors(case["inputs"]["log_rhos"], case["inputs"]["values"])
    gamma = max(inputs["discounts"])
    advantages, _ = vtrace(
        *tensors(inputs["rewards"], values, [*inputs["values"][1:], inputs["last_value"]]),
        np.equal(inputs["discounts"], 0.0),
        np.zeros(len(values), bool),
        log_rhos,
        gamma,
        inputs["lambda"],
        clip_rho=inputs["clip_rho_threshold"],
    )
    log_proba = ops.zeros_like(log_rhos)
    gradient, _, _ = gradients(
        losses.vtrace_policy_gradient, log_proba, -log_rhos, advantages, clip_ratio=inputs["clip_pg_rho_threshold"]
    )
    assert_close(-gradient * len(values), case["expected"]["pg_advantages"], TOLERANCE["float64"])
