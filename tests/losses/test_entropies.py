from kgdists import losses
from tests.losses import close, gradients, tensors


def test_entropy_bonus_by_hand():
    close(losses.entropy_bonus(*tensors([1.0, 2.0])), -1.5)


def test_entropy_bonus_gradient():
    close(gradients(losses.entropy_bonus, [1.0, 2.0])[0], [-0.5, -0.5])
