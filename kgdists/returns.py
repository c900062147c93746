"""Returns and advantages of sequences: time-major tensors, episodes' ends kept apart."""

from keras import ops

from kgdists.shapes import check_same, dtype_of

__all__ = ["gae"]


def gae(rewards, values, next_values, terminated, truncated, gamma, gae_lambda):
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
        0 gives one-step errors, 1 gives returns less values.

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
    for name, factor in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"`{name}` must lie in [0, 1]. Received: {name}={factor}")
    terminated, truncated = (ops.cast(x, dtype_of(values)) for x in (terminated, truncated))
    check_same(rewards=rewards, values=values, next_values=next_values, terminated=terminated, truncated=truncated)
    goes_on = 1.0 - terminated
    same_episode = goes_on * (1.0 - truncated)
    deltas = rewards + gamma * goes_on * next_values - values
    decays = gamma * gae_lambda * same_episode

    def step(advantage, at_t):
        delta, decay = at_t
        advantage = delta + decay * advantage
        return advantage, advantage

    _, advantages = ops.scan(step, ops.zeros_like(deltas[0]), (deltas, decays), reverse=True)
    return advantages, advantages + values
