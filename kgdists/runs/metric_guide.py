"""A guide to the metrics that agents log: each in a line, and what a healthy one looks like."""

__all__ = ["MEANINGS", "direction_of", "group_of", "healthy_range", "is_metric", "meaning_of"]

MEANINGS = {
    "return": "Undiscounted return, mean of the last 100 training episodes, with drawn actions. Should rise.",
    "evaluation_return": "Mean return of the evaluation's episodes, the same ones each time. Should rise.",
    "length": "Steps of an episode, mean of the last 100.",
    "running_return": "Return so far of the episodes that are being played, mean over the environments. Tells how it "
    "goes while no episode has ended; above `return` where rewards are positive and episodes grow.",
    "running_length": "Steps so far of the episodes that are being played, mean over the environments.",
    "entropy": "Of the policy in nats, of densities also negative. Should fall slowly; after a sudden fall it explores "
    "no more. Healthy, where actions are choices, above a tenth of the highest.",
    "saturation": "Part of the bounded action coordinates within 1 % of a bound. Near 1 the policy is bang-bang, and "
    "its gradients are weak.",
    "kl": "Estimated divergence of the policy after the gradient steps from the one that acted. Healthy from 0.003 to "
    "0.03; above 0.1 the steps are too long.",
    "kl_coef": "Weight of the penalty on the divergence. Settles where an update's divergence is the one aimed at.",
    "clip_fraction": "Part of the probability ratios beyond the clip range. Healthy from 0.05 to 0.3; at 0 steps could "
    "be longer, above 0.5 they are too long.",
    "explained_variance": "Part of the variance of the returns that the values explain. Should rise towards 1, healthy "
    "from 0.5; 0 is as good as a constant, negative worse.",
    "gradient_norm": "Of the gradient of all weights, before it is clipped; of SAC the root mean square over a "
    "thousand steps. Should be steady; spikes are bad steps.",
    "weight_norm": "Of all trained weights. Should grow slowly, and not without end.",
    "policy_loss": "What the policy minimises. Its level tells nothing; it should not explode.",
    "value_loss": "Mean squared error of the value function. Grows with the returns, then should fall.",
    "critic_loss": "Mean squared error of the critics. Grows with the returns, then should level off.",
    "value": "Mean value of the actions taken, by the critics. Far above the discounted returns it is overestimated.",
    "ent_coef": "Temperature, the price of a nat of entropy. Settles where the policy has its target entropy.",
    "learning_rate": "Of the optimizer, by its schedule.",
    "popsize": "Solutions of a generation.",
    "best_fitness": "Return of the best solution of a generation.",
    "mean_fitness": "Mean return of the solutions of a generation. Should rise.",
    "stdev": "Of the distribution of weights. Falls as the search converges; at 0 it has stopped.",
    "steps_per_second": "Environment steps per second, with the updates. Steady on an idle machine.",
}

HEALTHY = {"kl": (0.003, 0.03), "clip_fraction": (0.05, 0.3), "explained_variance": (0.5, 1.0)}


def healthy_range(metric: str, highest: float | None = None) -> tuple[float, float] | None:
    """The values of a metric that are no reason to worry, None where that depends on the environment.

    Parameters
    ----------
    metric : str
    highest : None or float
        The highest entropy that was logged, where all actions are choices.

    Returns
    -------
    None or (float, float)

    Examples
    --------
    >>> from kgdists.runs.metric_guide import healthy_range
    >>> healthy_range("clip_fraction"), healthy_range("entropy", 1.0), healthy_range("value_loss")
    ((0.05, 0.3), (0.1, 1.0), None)
    """
    if metric == "entropy" and highest is not None:
        return 0.1 * highest, highest
    return HEALTHY.get(metric)


OF_EPISODES = ("return", "length", "running_return", "running_length", "best_fitness", "mean_fitness")
RISING = ("return", "evaluation_return", "running_return", "best_fitness", "mean_fitness", "explained_variance")
FALLING = ("policy_loss", "value_loss", "critic_loss", "kl")


def group_of(name: str) -> str:
    """Where a metric comes from: "rollout", "train" or "evaluation".

    Examples
    --------
    >>> from kgdists.runs.metric_guide import group_of
    >>> [group_of(name) for name in ("return", "kl", "evaluation_return", "is_success")]
    ['rollout', 'train', 'evaluation', 'rollout']
    """
    if name.startswith("evaluation_"):
        return "evaluation"
    is_told = not is_metric(name)  # by environments, `log_info`
    return "rollout" if name in (*OF_EPISODES, "epoch", "steps", "steps_per_second") or is_told else "train"


def direction_of(name: str) -> str | None:
    """Whether a metric is better when it rises, "max", or falls, "min"; None if that is not known."""
    return "max" if name in RISING else "min" if name in FALLING else None


def is_metric(name: str) -> bool:
    """Whether agents and their callbacks log something else by this name."""
    return name in ("epoch", "steps") or bool(meaning_of(name))


def meaning_of(metric: str) -> str:
    """The line of a metric, that of the whole for a branch such as `"entropy_left"`; empty for an unknown one.

    Parameters
    ----------
    metric : str

    Returns
    -------
    str

    Examples
    --------
    >>> from kgdists.runs.metric_guide import meaning_of
    >>> meaning_of("length")
    'Steps of an episode, mean of the last 100.'
    """
    if metric.startswith("entropy_"):
        return f"Entropy of the branch {metric.removeprefix('entropy_')} of the actions."
    return MEANINGS.get(metric, "")
