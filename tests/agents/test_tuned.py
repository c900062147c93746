import dataclasses

import gymnasium
import pytest
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents import A2CConfig, PPOConfig
from kgdists.agents.tuned import TUNED, default_agent, known_settings
from kgdists.agents.tuned_config import tuned_config
from kgdists.cli.agents import CONFIGS, fixed

each_row = pytest.mark.parametrize("env, agent", [(env, agent) for env in TUNED for agent in TUNED[env]])


def tuned_for(agent, env, total_steps=None, **settings):
    """What the command line makes of an agent's name."""
    return tuned_config(env, agent, CONFIGS[agent], total_steps, **fixed(agent), **settings)


@pytest.mark.parametrize("env", TUNED)
def test_every_tuned_environment_is_one_of_gymnasium_s(env):
    assert env in gymnasium.registry or "*" in env


def test_a_family_of_environments_has_one_row():
    for env in ("ALE/Pong-v5", "ale_py:ALE/Breakout-v5"):
        total_steps, config = tuned_config(env, "ppo", PPOConfig)
        assert config.preprocessing == "atari"
    assert known_settings("MiniGrid-Empty-5x5-v0") is TUNED["MiniGrid-*"] and known_settings("MyEnv-v0") == {}


@each_row
def test_every_tuned_setting_is_one_of_the_agent(env, agent):
    names = {field.name for field in dataclasses.fields(CONFIGS[agent])}
    known = TUNED[env][agent]
    assert names >= {*known.settings, *known.decay} and {*known.settings} >= {*known.decay}


@each_row
def test_tuned_settings_make_a_configuration(env, agent):
    known = TUNED[env][agent]
    total_steps, config = tuned_for(agent, env, None)
    assert total_steps == known.total_steps and type(config) is CONFIGS[agent]
    for name, value in known.settings.items():
        assert name in known.decay or getattr(config, name) == value


A2C_SETTINGS = [
    {},
    {"n_steps": 5},
    {"n_steps": 16, "num_envs": 3},
    {"epoch_steps": 1},
    {"epoch_steps": 999},
    {"epoch_steps": 1025},
    {"n_epochs": 3},
    {"num_envs": 1, "n_steps": 1, "epoch_steps": 7},
    {"n_steps": 700},
]


@pytest.mark.parametrize("settings", A2C_SETTINGS, ids=str)
@pytest.mark.parametrize("total_steps", [1, 2_500, 3_072, 3_073])
def test_a2c_decays_over_the_gradient_steps_that_it_takes(settings, total_steps):
    _, config = tuned_config("CartPole-v1", "a2c", A2CConfig, total_steps, **settings)
    taken, per_update = 0, config.n_steps * config.num_envs
    steps = 0
    while steps < total_steps:  # as `learn` counts, in epochs of whole updates
        in_epoch = 0
        while in_epoch < config.epoch_steps:
            in_epoch += per_update
            taken += config.n_epochs
        steps += in_epoch
    assert float(config.learning_rate(taken - 1)) > 0.0 == float(config.learning_rate(taken))


@each_row
@pytest.mark.parametrize("total_steps", [None, 1, 10_000])
def test_decaying_settings_reach_0_with_the_last_gradient_step(env, agent, total_steps):
    known = TUNED[env][agent]
    total_steps, config = tuned_for(agent, env, total_steps)
    for name in known.decay:
        per_update = config.n_steps * config.num_envs
        if agent == "sac":
            per_epoch = -(-config.epoch_steps // per_update) * per_update
            steps = range(per_update, -(-total_steps // per_epoch) * per_epoch + 1, per_update)
            gradient_steps = max(1, sum(step >= config.learning_starts for step in steps)) * per_update
        else:
            batch_size = getattr(config, "batch_size", per_update)
            per_epoch = -(-getattr(config, "epoch_steps", per_update) // per_update) * per_update
            steps = -(-total_steps // per_epoch) * per_epoch
            gradient_steps = steps // per_update * config.n_epochs * per_update // batch_size
        schedule = getattr(config, name)
        assert isinstance(schedule, LearningRateSchedule)
        assert float(schedule(0)) == pytest.approx(known.settings[name])
        assert float(schedule(gradient_steps - 1)) > 0.0 == float(schedule(gradient_steps))


def test_settings_given_replace_the_tuned_ones_and_do_not_decay():
    _, config = tuned_config("CartPole-v1", "ppo", PPOConfig, gamma=0.5, learning_rate=0.01)
    assert config.gamma == 0.5 and config.learning_rate == 0.01
    assert isinstance(config.clip_range, LearningRateSchedule)


def test_decays_follow_the_settings_given():
    settings = {"num_envs": 2, "n_steps": 50, "batch_size": 25, "n_epochs": 3}
    _, config = tuned_config("CartPole-v1", "ppo", PPOConfig, 1000, **settings)
    assert config.clip_range.decay_steps == 10 * 3 * 4


@pytest.mark.parametrize("agent", CONFIGS)
def test_an_unknown_environment_gets_the_defaults(agent):
    total_steps, config = tuned_for(agent, "MyEnv-v0", None, seed=3)
    searcher = {"searcher": agent} if hasattr(config, "searcher") else {}
    assert total_steps >= 1 and config == CONFIGS[agent](seed=3, **searcher)


def test_settings_given_replace_the_tuned_ones_of_a_search():
    total_steps, config = tuned_for("snes", "CartPole-v1", 7, stdev_init=3.0, seed=2)
    assert (total_steps, config.searcher, config.stdev_init, config.seed) == (7, "snes", 3.0, 2)


@pytest.mark.parametrize("agent", ["ppo", "snes"])
@pytest.mark.parametrize("total_steps", [0, -5])
def test_a_wrong_number_of_steps_is_refused(agent, total_steps):
    with pytest.raises(ValueError, match="`total_steps` .* Received: "):
        tuned_for(agent, "CartPole-v1", total_steps)


def test_the_default_agent_is_the_first_of_the_table():
    assert [default_agent(env) for env in TUNED] == [next(iter(agents)) for agents in TUNED.values()]
    assert default_agent("MyEnv-v0") == "ppo" and all(default_agent(env) in CONFIGS for env in TUNED)
