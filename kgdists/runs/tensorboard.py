"""What agents log, in TensorBoard."""

import copy
from typing import Self

import keras

from kgdists.core.tensorboard import StepTensorBoard
from kgdists.runs.metric_guide import group_of

__all__ = ["TensorBoard"]


class TensorBoard(StepTensorBoard):
    """Keras' TensorBoard for agents: over environment steps, with tags in groups.

    The groups are `rollout/`, what the episodes of the training were like, `train/`, what the updates were like, and
    `evaluation/`. An agent makes one of any `keras.callbacks.TensorBoard` that `learn` is given. The arguments are
    those of Keras.

    Examples
    --------
    >>> import tempfile, kgdists as kg
    >>> agent, folder = kg.agents.PPO("CartPole-v1", num_envs=2, n_steps=32, seed=0), tempfile.mkdtemp()
    >>> history = agent.learn(128, kg.agents.TensorBoard(folder), verbose=0)
    """

    @classmethod
    def like(cls, callback: keras.callbacks.TensorBoard) -> Self:
        """One with the settings of Keras' own."""
        mine = copy.copy(callback)
        mine.__class__ = cls
        return mine

    def tag_of(self, name: str) -> str:
        """The tag of a metric: `return` is `rollout/return`, `evaluation_return` is `evaluation/return`."""
        group = group_of(name)
        return f"{group}/{name.removeprefix(f'{group}_')}"
