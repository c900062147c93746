import numpy as np
import pytest
from keras import ops

from kgdists import losses
from tests.losses import close, gradients, tensors


def test_value_by_hand():
    close(losses.value(*tensors([1.0, 2.0], [0.0, 5.0])), (1.0 + 9.0) / 2.0)


def test_value_gradient():
    gradient, _ = gradients(losses.value, [1.0, 2.0], [0.0, 5.0])
    close(gradient, [1.0, -3.0])


@pytest.mark.parametrize(
    "value, target, expected",
    [
        (1.1, 2.0, 0.9**2),  # inside the clip: its own error
        (1.5, 2.0, 0.8**2),  # towards the target: the error at 1.2
        (0.5, 2.0, 1.5**2),  # away from the target: its own error
    ],
)
def test_value_clip_by_hand(value, target, expected):
    close(losses.value(*tensors([value], [target], [1.0]), clip_range=0.2), expected)


@pytest.mark.parametrize("value, expected", [(1.1, -1.8), (1.5, 0.0), (0.5, -3.0)])
def test_value_clip_stops_the_gradient_of_what_moved_far_enough(value, expected):
    gradient, _, _ = gradients(losses.value, [value], [2.0], [1.0], clip_range=0.2)
    close(gradient, [expected])


def test_value_clip_beyond_every_change_is_the_plain_loss():
    values, returns, old_values = tensors([1.0, -2.0], [0.5, 3.0], [0.0, 0.0])
    close(losses.value(values, returns, old_values, clip_range=10.0), losses.value(values, returns))


@pytest.mark.parametrize("wrong", ["returns", "old_values"])
def test_value_broadcasts_nothing(wrong):
    inputs = {name: ops.zeros((4, 1)) for name in ("values", "returns", "old_values")}
    inputs[wrong] = ops.zeros(4)
    with pytest.raises(ValueError, match=rf"`{wrong}`.*Received: .*\(4, 1\), {wrong} of shape \(4,\)"):
        losses.value(**inputs, clip_range=0.2)


@pytest.mark.parametrize("options", [{"old_values": np.zeros(4)}, {"clip_range": 0.2}])
def test_old_values_and_clip_range_go_together(options):
    with pytest.raises(ValueError, match="`old_values` and `clip_range`.*Received:"):
        losses.value(np.zeros(4), np.zeros(4), **options)
