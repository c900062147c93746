"""Returns and advantages of sequences: time-major tensors, episodes' ends kept apart."""

from collections.abc import Callable
from typing import Any

from keras import ops

from kgdists.core.checks import count
from kgdists.core.shapes import check_same, dtype_of
from kgdists.core.types import Integer, Tensor

__all__ = ["discounted", "gae", "lambda_returns", "n_step", "vtrace"]


def discounted(rewards: Tensor, next_values: Tensor, terminated: Tensor, truncated: Tensor, gamma: float) -> Tensor:
    r"""Discounted sums of the rewards up to the end of the episode: :math:`R_t = r_t + \gamma R_{t+1}`.

    Where an episode is cut off, or the sequence ends within it, :math:`V'_t` stands for what is left.

    Parameters
    ----------
    rewards : float tensor, shape [T, B...]
    next_values : float tensor, shape [T, B...]
        As for `gae`; only those of truncated steps and of the last step count, and zeros leave the sums unestimated.
    terminated, truncated : bool tensors, shape [T, B...]
        As for `gae`.
    gamma : float in [0, 1]
        Discount factor.

    Returns
    -------
    float tensor, shape [T, B...].

    Raises
    ------
    ValueError
        If the shapes differ, or `gamma` is outside [0, 1].

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> ones, no = keras.ops.ones((3,)), keras.ops.zeros((3,), "bool")
    >>> kg.returns.discounted(ones, 0.0 * ones, no, no, gamma=0.5).numpy().tolist()
    [1.75, 1.5, 1.0]
    """
    return lambda_returns(rewards, next_values, terminated, truncated, gamma, 1.0)


def lambda_returns(
    rewards: Tensor, next_values: Tensor, terminated: Tensor, truncated: Tensor, gamma: float, lambda_: float
) -> Tensor:
    r"""Mixtures of the n-step returns: :math:`G_t = r_t + \gamma ((1 - \lambda) V'_t + \lambda G_{t+1})`.

    Sutton and Barto 2018, eq. 12.20. A terminated step has nothing after it; at a truncated one and at the last,
    :math:`V'_t` takes the place of :math:`G_{t+1}`.

    Parameters
    ----------
    rewards, next_values : float tensors, shape [T, B...]
        As for `gae`.
    terminated, truncated : bool tensors, shape [T, B...]
        As for `gae`.
    gamma : float in [0, 1]
        Discount factor.
    lambda_ : float in [0, 1]
        0 gives one-step returns, 1 discounted sums.

    Returns
    -------
    float tensor, shape [T, B...].

    Raises
    ------
    ValueError
        If the shapes differ, or a factor is outside [0, 1].
    """
    _check_factors(gamma=gamma, lambda_=lambda_)
    goes_on, same_episode = _ends(terminated, truncated, rewards=rewards, next_values=next_values)
    bootstraps = ops.where(goes_on, next_values, 0.0)

    def step(following, at_t):
        reward, bootstrap, same_episode = at_t
        # At 0 and 1 one of the two does not count, whatever it is.
        mixture = bootstrap if lambda_ == 0.0 else following
        if 0.0 < lambda_ < 1.0:
            mixture = (1.0 - lambda_) * bootstrap + lambda_ * following
        total = reward + gamma * ops.where(same_episode, mixture, bootstrap)
        return total, total

    # The last step has no successor: V' takes its place.
    return _backwards(step, lambda: bootstraps[-1], (rewards, bootstraps, same_episode))


def n_step(
    rewards: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    n: Integer,
    lambda_: float = 1.0,
) -> Tensor:
    r"""Sums of n rewards and the value after them, :math:`\sum_{k<n} \gamma^k r_{t+k} + \gamma^n V'_{t+n-1}`.

    The sum ends sooner where the episode or the sequence ends, with the value there; a terminated step has none. With
    :math:`\lambda < 1` it is the mixture of `lambda_returns`, cut off after n steps: :math:`G^1_t = r_t + \gamma V'_t`,
    :math:`G^n_t = r_t + \gamma ((1 - \lambda) V'_t + \lambda G^{n-1}_{t+1})`.

    Parameters
    ----------
    rewards, next_values : float tensors, shape [T, B...]
        As for `gae`.
    terminated, truncated : bool tensors, shape [T, B...]
        As for `gae`.
    gamma : float in [0, 1]
        Discount factor.
    n : int, >= 1
    lambda_ : float in [0, 1]
        0 gives one-step returns, 1 sums of n rewards.

    Returns
    -------
    float tensor, shape [T, B...].

    Raises
    ------
    ValueError
        If the shapes differ, a factor is outside [0, 1] or `n` is not an int >= 1.
    """
    n = count("n", n)
    _check_factors(gamma=gamma, lambda_=lambda_)
    goes_on, same_episode = _ends(terminated, truncated, rewards=rewards, next_values=next_values)
    bootstraps = gamma * ops.where(goes_on, next_values, 0.0)

    def longer(_, totals):
        mixtures = gamma * totals[1:]
        if lambda_ < 1.0:
            mixtures = (1.0 - lambda_) * bootstraps[:-1] + lambda_ * mixtures
        following = ops.where(same_episode[:-1], mixtures, bootstraps[:-1])
        return rewards + ops.concatenate([following, bootstraps[-1:]])

    return ops.fori_loop(1, n, longer, rewards + bootstraps)


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    r"""Generalised advantage estimates and the returns that go with them (Schulman et al. 2016, eq. 16).

    :math:`A_t = \delta_t + \gamma \lambda A_{t+1}`, :math:`\delta_t = r_t + \gamma V'_t - V_t`. A terminated step has
    nothing after it, so its :math:`V'_t` counts as 0; a truncated one still bootstraps; the recursion stops at both.

    Parameters
    ----------
    rewards, values : float tensors, shape [T, B...]
        Of the steps and of the observations they started from.
    next_values : float tensor, shape [T, B...]
        Values of the observations the steps led to; at the end of an episode that is its final observation, never the
        first of the next episode.
    terminated, truncated : bool tensors, shape [T, B...]
        Whether the episode ended there, and whether it was cut off there. Both at once counts as terminated.
    gamma : float in [0, 1]
        Discount factor.
    gae_lambda : float in [0, 1]
        0 gives one-step errors, 1 gives returns minus values.

    Returns
    -------
    advantages, returns : float tensors, shape [T, B...]
        `returns = advantages + values`.

    Raises
    ------
    ValueError
        If the shapes differ, or a factor is outside [0, 1].

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> x, no = keras.ops.ones((3, 1)), keras.ops.zeros((3, 1), "bool")
    >>> kg.returns.gae(x, x, x, no, no, gamma=1.0, gae_lambda=1.0)[0][:, 0].numpy().tolist()
    [3.0, 2.0, 1.0]
    """
    _check_factors(gamma=gamma, gae_lambda=gae_lambda)
    goes_on, same_episode = _ends(terminated, truncated, rewards=rewards, values=values, next_values=next_values)
    deltas = rewards + gamma * ops.where(goes_on, next_values, 0.0) - values

    def step(advantage, at_t):
        delta, same_episode = at_t
        advantage = delta + gamma * gae_lambda * ops.where(same_episode, advantage, 0.0)
        return advantage, advantage

    advantages = _backwards(step, lambda: ops.zeros_like(deltas[0]), (deltas, same_episode))
    return advantages, advantages + values


def vtrace(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    log_ratios: Tensor,
    gamma: float,
    lambda_: float = 1.0,
    clip_rho: float = 1.0,
    clip_trace: float = 1.0,
) -> tuple[Tensor, Tensor]:
    r"""V-trace: advantages and returns of a policy from the steps of another (Espeholt et al. 2018, eq. 1).

    With the one-step errors :math:`\delta_t` of `gae` and the ratio :math:`r_t = \pi(a_t) / \pi_\mathrm{old}(a_t)`,
    the returns are :math:`v_t = V_t + E_t`, :math:`E_t = \min(\bar\rho, r_t) \delta_t + \gamma \lambda
    \min(\bar c, r_t) E_{t+1}`, and the advantages :math:`A_t = \delta_t + \gamma \lambda E_{t+1}`. Ends of episodes
    are as in `gae`, which this is if all ratios are 1.

    The advantages hold no weight of their own step's action: `kgdists.losses.vtrace_policy_gradient` gives it, and so
    do the ratios of PPO's losses.

    Parameters
    ----------
    rewards, values, next_values : float tensors, shape [T, B...]
        As for `gae`.
    terminated, truncated : bool tensors, shape [T, B...]
        As for `gae`.
    log_ratios : float tensor, shape [T, B...]
        Log-probabilities of the actions under the policy minus those under the one that took them.
    gamma : float in [0, 1]
        Discount factor.
    lambda_ : float in [0, 1]
        As `gae_lambda` of `gae`.
    clip_rho : float, > 0
        Bound of the errors' weights; infinite, the values are those of the policy, else between those of the two.
    clip_trace : float, > 0
        Bound of the weights of what comes later, which bounds the variance.

    Returns
    -------
    advantages, returns : float tensors, shape [T, B...]
        Unlike those of `gae` they differ by more than the values.

    Raises
    ------
    ValueError
        If the shapes differ, or a factor is outside its range.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> x, no = keras.ops.ones((2,)), keras.ops.zeros((2,), "bool")
    >>> advantages, returns = kg.returns.vtrace(x, x, x, no, no, keras.ops.log([0.5, 0.5]), gamma=1.0)
    >>> advantages.numpy().tolist(), returns.numpy().tolist()
    ([1.5, 1.0], [1.75, 1.5])
    """
    _check_factors(gamma=gamma, lambda_=lambda_)
    for name, bound in (("clip_rho", clip_rho), ("clip_trace", clip_trace)):
        if not bound > 0.0:
            raise ValueError(f"`{name}` must be > 0. Received: {name}={bound}")
    goes_on, same_episode = _ends(
        terminated, truncated, rewards=rewards, values=values, next_values=next_values, log_ratios=log_ratios
    )
    deltas = rewards + gamma * ops.where(goes_on, next_values, 0.0) - values
    ratios = ops.exp(log_ratios)

    def step(error, at_t):
        delta, trace, same_episode = at_t
        error = delta + gamma * lambda_ * trace * ops.where(same_episode, error, 0.0)
        return error, error

    scaled = ops.minimum(ratios, clip_rho) * deltas, ops.minimum(ratios, clip_trace), same_episode
    errors = _backwards(step, lambda: ops.zeros_like(deltas[0]), scaled)
    later = ops.concatenate([errors[1:], ops.zeros_like(errors[:1])])
    return deltas + gamma * lambda_ * ops.where(same_episode, later, 0.0), values + errors


def _backwards(step: Callable[..., Any], start: Callable[[], Tensor], sequences: tuple[Tensor, ...]) -> Tensor:
    """What `step` gives at each time, from the last one on, where `start()` comes in; nothing for no time at all."""
    if sequences[0].shape[0] == 0:
        return sequences[0]
    return ops.scan(step, start(), sequences, reverse=True)[1]


def _check_factors(**factors: float) -> None:
    for name, factor in factors.items():
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"`{name}` must lie in [0, 1]. Received: {name}={factor}")


def _ends(terminated: Tensor, truncated: Tensor, **floats: Tensor) -> tuple[Tensor, Tensor]:
    """Where something comes after a step, and where that is a step of the same episode.

    What does not count is left out by `where`, never by a product: 0 times NaN is NaN.
    """
    dtype = dtype_of(next(iter(floats.values())))
    check_same(
        **floats, **{name: ops.cast(x, dtype) for name, x in (("terminated", terminated), ("truncated", truncated))}
    )
    terminated, truncated = (ops.cast(x, "bool") for x in (terminated, truncated))
    return ~terminated, ~(terminated | truncated)
