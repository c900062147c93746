"""What other libraries call the arguments of agents."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from kgdists.core.did_you_mean import check_names

__all__ = ["HINTS", "OTHER_NAMES", "check_policy", "check_positions", "check_settings"]


def _named(names: str, here: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), here)


# Of Stable-Baselines3, CleanRL, RLlib and Tianshou.
OTHER_NAMES = {
    **_named("total_timesteps timesteps num_timesteps max_steps_total", "total_steps"),
    **_named("callback", "callbacks"),
    **_named("n_envs num_workers num_env_runners num_environments", "num_envs"),
    **_named("lr policy_lr q_lr actor_lr critic_lr alpha_lr", "learning_rate"),
    **_named("entropy_coef entropy_coeff ent_coeff entropy_cost alpha", "ent_coef"),
    **_named("value_coef vf_coeff vf_loss_coeff value_loss_coef", "vf_coef"),
    **_named("num_steps rollout_length rollout_fragment_length train_freq", "n_steps"),
    **_named("update_epochs num_sgd_iter num_epochs epochs repeat", "n_epochs"),
    **_named("minibatch_size sgd_minibatch_size num_minibatches n_minibatches", "batch_size"),
    **_named("clip_coef clip_param eps_clip clip_ratio", "clip_range"),
    **_named("clip_range_vf clip_vloss vf_clip_param value_clip", "clip_range_value"),
    **_named("lam lambda_ gae_lam", "gae_lambda"),
    **_named("discount discount_factor", "gamma"),
    **_named("grad_clip max_gradient_norm clip_grad_norm", "max_grad_norm"),
    **_named("normalize_advantage norm_adv advantage_normalization", "normalize_advantages"),
    **_named("norm_obs normalize_obs", "normalize_observations"),
    **_named("norm_reward normalize_reward reward_normalization", "normalize_rewards"),
    **_named("kl_coeff", "kl_coef"),
    **_named("kl_target desired_kl", "target_kl"),
    **_named("replay_buffer_size replay_size", "buffer_size"),
    **_named("start_steps warmup_steps learn_start", "learning_starts"),
    **_named("polyak", "tau"),
    **_named("rms_prop_eps adam_eps", "epsilon"),
    **_named("population_size pop_size", "popsize"),
    **_named("sigma_init sigma0", "stdev_init"),
    **_named("n_eval_episodes eval_episodes num_episodes", "episodes"),
    **_named("net_arch fcnet_hiddens hidden_sizes hidden_dims", "hidden_units"),
    **_named("activation_fn fcnet_activation", "activation"),
    **_named("env_id env_name gym_id environment", "env"),
}

OF_LEARN = "it is an argument of `learn`."
DEVICE = "TensorFlow chooses the device: use `with tf.device(name)`, or set CUDA_VISIBLE_DEVICES."
BOARD = "pass `callbacks=kg.agents.TensorBoard(folder)` to `learn`."
HINTS = {
    **dict.fromkeys(("total_steps", "callbacks", "callback", "verbose"), OF_LEARN),
    **dict.fromkeys(("total_timesteps", "n_timesteps"), "did you mean `total_steps`, an argument of `learn`?"),
    **dict.fromkeys(("progress_bar", "log_interval"), "did you mean `verbose`, an argument of `learn`?"),
    **dict.fromkeys(("device", "cuda"), DEVICE),
    **dict.fromkeys(("tensorboard_log", "tb_log_name"), BOARD),
    "track": "pass a callback of Weights & Biases or MLflow to `learn`, as docs/tracking.md shows.",
    "policy_kwargs": "set `hidden_units`, `activation` and `encoder` of the default networks, or pass a `policy`.",
    "anneal_lr": "pass `learning_rate=keras.optimizers.schedules.PolynomialDecay(rate, gradient_steps, 0.0)`.",
    "autotune": "`ent_coef=None`, the default of SAC, learns the temperature.",
    "use_sde": "set `sde_sample_freq`.",
    "reset_num_timesteps": "`learn` goes on where it stopped, and a new agent starts anew.",
}


def check_settings(config: type, settings: Mapping[str, Any]) -> None:
    """Raise unless all settings are fields of a config dataclass.

    Raises
    ------
    TypeError
        With the name that is meant.
    """
    known = [field.name for field in dataclasses.fields(config)]
    otherwise = f"its settings are the fields of `{config.__name__}`."
    check_names(config.__name__.removesuffix("Config"), settings, known, OTHER_NAMES, HINTS, otherwise)


def check_positions(cls: type, given: Sequence[Any]) -> None:
    """Raise if the class of an agent is called with more arguments by position than it has.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    parameters = [*inspect.signature(cls.__init__).parameters.values()][1:]  # type: ignore[misc]
    if any(x.kind is x.VAR_POSITIONAL for x in parameters):
        return
    most = sum(x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD) for x in parameters)
    if len(given) > most:
        shown = ", ".join(x if isinstance(x, str) else type(x).__name__ for x in given)
        raise TypeError(
            f"{cls.__name__} takes an environment, and all else by name: did you mean `{cls.__name__}(env, ...)`? The "
            f"networks for its spaces are made by default. Received: {cls.__name__}({shown})"
        )


def check_policy(policy: Any) -> None:
    """Raise if a policy that was given is a name, or something else that cannot be one.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    if policy is not None and not callable(policy):
        raise TypeError(
            "`policy` must be None, for the default networks, or a `kgdists.Policy(trunk, head)`. "
            f"Received: policy={policy!r}"
        )
