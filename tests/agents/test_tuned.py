import dataclasses

import gymnasium
import pytest
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents import ESConfig, PPOConfig
from kgdists.agents.tuned import TUNED, TUNED_SEARCHES, tuned_config, tuned_search

each_env = pytest.mark.parametrize("env", TUNED)


@each_env
def test_every_tuned_environment_is_one_of_gymnasium_s(env):
    assert env in gymnasium.registry


@each_env
def test_every_tuned_setting_is_one_of_the_agent(env):
    names = {field.name for field in dataclasses.fields(PPOConfig)}
    assert names >= {*TUNED[env].settings, *TUNED[env].decay}


@each_env
def test_tuned_settings_make_a_configuration(env):
    total_steps, config = tuned_config(env)
    assert total_steps == TUNED[env].total_steps
    for name, value in TUNED[env].settings.items():
        assert name in TUNED[env].decay or getattr(config, name) == value


@each_env
@pytest.mark.parametrize("total_steps", [None, 1, 10_000])
def test_decaying_settings_reach_0_with_the_last_gradient_step(env, total_steps):
    total_steps, config = tuned_config(env, total_steps)
    per_update = config.n_steps * config.num_envs
    gradient_steps = -(-total_steps // per_update) * config.n_epochs * per_update // config.batch_size
    for name in TUNED[env].decay:
        schedule = getattr(config, name)
        assert isinstance(schedule, LearningRateSchedule)
        assert float(schedule(0)) == pytest.approx(TUNED[env].settings[name])
        assert float(schedule(gradient_steps - 1)) > 0.0 == float(schedule(gradient_steps))


def test_settings_given_replace_the_tuned_ones_and_do_not_decay():
    _, config = tuned_config("CartPole-v1", gamma=0.5, learning_rate=0.01)
    assert config.gamma == 0.5 and config.learning_rate == 0.01
    assert isinstance(config.clip_range, LearningRateSchedule)


def test_decays_follow_the_settings_given():
    _, config = tuned_config("CartPole-v1", 1000, num_envs=2, n_steps=50, batch_size=25, n_epochs=3)
    assert config.clip_range.decay_steps == 10 * 3 * 4


def test_an_unknown_environment_gets_the_defaults():
    total_steps, config = tuned_config("MyEnv-v0", seed=3)
    assert total_steps >= 1 and config == PPOConfig(seed=3)


@pytest.mark.parametrize("total_steps", [0, -5])
def test_a_wrong_number_of_steps_is_refused(total_steps):
    with pytest.raises(ValueError, match="`total_steps` .* Received: "):
        tuned_config("CartPole-v1", total_steps)


@pytest.mark.parametrize("env, searcher", [(env, name) for env, known in TUNED_SEARCHES.items() for name in known])
def test_tuned_searches_make_a_configuration(env, searcher):
    known = TUNED_SEARCHES[env][searcher]
    assert tuned_search(env, searcher) == (known.total_steps, ESConfig(searcher=searcher, **known.settings))
    assert tuned_search(env, searcher, 7, stdev_init=3.0, seed=2)[0] == 7
    assert tuned_search(env, searcher, 7, stdev_init=3.0, seed=2)[1].stdev_init == 3.0


def test_other_environments_are_searched_with_the_defaults():
    total_steps, config = tuned_search("MountainCar-v0", "snes", seed=3)
    assert total_steps >= 1 and config == ESConfig(searcher="snes", seed=3)


def test_a_search_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="`total_steps` must be an int >= 1. Received: total_steps=0"):
        tuned_search("CartPole-v1", "snes", 0)
