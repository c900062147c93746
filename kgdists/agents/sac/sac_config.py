"""The settings of the soft actor-critic."""

import dataclasses

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.config import ACTIVATIONS, TrainingConfig, check, check_count, is_number, is_positive, setting

__all__ = ["SACConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SACConfig(TrainingConfig):
    """Hyperparameters of `SAC`. A schedule is a function of the number of gradient steps taken."""

    TOTAL_STEPS = 50_000
    FAMILIES = ("squashed", "normal")  # those that policies learn from by their own draws

    num_envs: int = setting(1, "environments stepped together, N")
    learning_rate: float | LearningRateSchedule = setting(
        3e-4, "learning rate of Adam, for policy, critics and temperature"
    )
    hidden_units: tuple[int, ...] = setting((256, 256), "widths of the hidden layers of the default networks")
    activation: str = setting("relu", f"activation of the hidden layers: {', '.join(ACTIVATIONS)}")
    box_family: str = setting("squashed", f"distribution of the default policy for a Box: {', '.join(FAMILIES)}")
    n_steps: int = setting(1, "steps of each environment between two updates, T")
    gradient_steps: int | None = setting(None, "gradient steps of an update; N T by default")
    learning_starts: int = setting(100, "steps of all environments before the first update")
    epoch_steps: int = setting(1000, "steps of all environments in an epoch of callbacks, rounded up to whole updates")
    buffer_size: int = setting(1_000_000, "steps of all environments that are kept for replay")
    batch_size: int = setting(256, "steps replayed per gradient step")
    n_step_returns: int = setting(1, "rewards that are summed up before the critics are asked")
    tau: float = setting(
        0.005, "Polyak rate of the target critics: how far each gradient step moves them towards the critics"
    )
    ent_coef: float | None = setting(None, "temperature, the weight of the entropy; learned by default")
    initial_ent_coef: float = setting(1.0, "temperature at the start, if it is learned")
    target_entropy: float | None = setting(
        None,
        "entropy that a learned temperature leads to; by default minus the number of dimensions of a Box, in units of "
        "half its width, and for a Discrete 0.3 of the highest one of the allowed choices; 0.98 of that at most",
    )
    discrete: str = setting(
        "exact", "gradient of the policy for a Discrete space: exact, by the expectation; relaxed, by relaxed samples"
    )
    noise_repeat: int = setting(1, "steps over which the noise of the exploration stays the same")
    state_dependent_stddev: bool = setting(
        True, "let the standard deviation of the default policy depend on the observation"
    )
    jit_compile: bool = setting(
        False, "let XLA make updates: less work in all, but on one thread; else parts of them run side by side"
    )
    save_replay: bool = setting(True, "save what is kept for replay with the agent")

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        per_update = self.n_steps * self.num_envs
        per_epoch = -(-self.epoch_steps // per_update)
        epochs = -(-total_steps // (per_epoch * per_update))  # an epoch is never left half done
        before = -(-max(1, min(self.learning_starts, self.buffer_size)) // per_update) - 1
        return max(1, epochs * per_epoch - before) * (self.gradient_steps or per_update)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "n_steps",
            "epoch_steps",
            "buffer_size",
            "batch_size",
            "n_step_returns",
            "noise_repeat",
        ):
            check_count(self, name)
        check_count(self, "gradient_steps", optional=True)
        check_count(self, "learning_starts", least=0)
        check(self, "tau", "in (0, 1]", lambda x: is_number(x) and 0.0 < x <= 1.0)
        check(self, "ent_coef", "None or a finite number >= 0", lambda x: x is None or (is_number(x) and x >= 0.0))
        check(self, "target_entropy", "None or a finite number", lambda x: x is None or is_number(x))
        check(self, "initial_ent_coef", "a finite number > 0", is_positive)
        check(self, "discrete", "exact or relaxed", lambda x: x in ("exact", "relaxed"))
