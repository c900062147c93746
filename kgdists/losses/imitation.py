"""Loss of imitation."""

from typing import Protocol, Self, TypeVar

from keras import ops, tree

from kgdists.core.types import Tensor
from kgdists.numerics import special

__all__ = ["cross_entropy"]


class _Comparable(Protocol):
    def cross_entropy(self, other: Self) -> Tensor: ...


D = TypeVar("D", bound=_Comparable)


def cross_entropy(pi: D, behaviour: D) -> Tensor:
    r"""Mean cross-entropy :math:`-\mathrm{mean}\,\mathrm{E}_{a \sim b} \log\pi(a)` of a policy to another, b.

    What imitates a policy that is known as a distribution, such as a search's or a teacher's; it is least where `pi` is
    `behaviour`, and there it is the entropy of that. Its gradient is the expectation of the score,
    :math:`-\mathrm{E}_b \nabla \log\pi(a)`; for a categorical's logits that is
    :math:`(\mathrm{softmax}(z) - b) / B`. Where only actions are known, `policy_gradient` with advantages of 1 is its
    estimate, and `Policy.fit` minimises that.

    Parameters
    ----------
    pi : Distribution, batch shape [B...]
        The gradient goes through it.
    behaviour : Distribution of the same kind, batch shape [B...]
        Taken as a constant.

    Returns
    -------
    float scalar, 0 for a batch of no rows.

    Raises
    ------
    TypeError
        If the distributions are of different kinds.
    ValueError
        If their shapes or dtypes differ.
    NotImplementedError
        If there is no closed form; the message names the estimator.

    Examples
    --------
    >>> import math, kgdists as kg
    >>> fair = kg.CategoricalDist([[0.0, 0.0]])
    >>> abs(float(kg.losses.cross_entropy(fair, behaviour=fair)) - math.log(2.0)) < 1e-6
    True
    """
    return special.mean(tree.map_structure(ops.stop_gradient, behaviour).cross_entropy(pi))
