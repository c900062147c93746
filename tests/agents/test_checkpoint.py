import json
import shutil

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras.optimizers.schedules import PolynomialDecay

import kgdists as kg
from kgdists.agents import PPO, PPOConfig, checkpoint
from kgdists.layers import CategoricalHead
from tests.agents.helpers import Bandit, Counter, counters, small, weights

pytestmark = pytest.mark.usefixtures("eagerly")
FILES = ("config.json", "policy.keras", "state.npz", "value.keras")
OPTIONS = {"batch_size": 8, "normalize_observations": True, "normalize_rewards": True}


def continuous():
    return Counter(length=5, action_space=Box(-1.0, 1.0, (2,)))  # whose episodes go on beyond a rollout


class Sixfold(Counter):
    """With the spaces of Acrobot-v1."""

    def __init__(self):
        super().__init__(action_space=Discrete(3))
        self.observation_space = Box(-np.inf, np.inf, (6,), "float32")

    def _observation(self):
        return np.zeros(6, "float32")


def trained_and_loaded(folder, env=continuous, **config):
    agent = small(env, **OPTIONS, **config)
    agent.learn(32)
    agent.save(folder)
    return agent, PPO.load(folder, env)


# Round trips


def test_a_folder_holds_these_files_and_no_others(tmp_path):
    small().save(tmp_path / "new" / "run")
    assert sorted(file.name for file in (tmp_path / "new" / "run").iterdir()) == sorted(FILES)


def test_predictions_are_the_same_to_the_last_bit(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path)
    x = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x), agent.predict(x))
    np.testing.assert_array_equal(loaded.predict(x, deterministic=False), agent.predict(x, deterministic=False))
    np.testing.assert_array_equal(loaded.value(x), agent.value(x))


def test_the_state_of_the_optimizer_is_the_same(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path)
    assert int(loaded.optimizer.iterations) == 4
    for mine, theirs in zip(loaded.optimizer.variables, agent.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_progress_is_the_same(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path)
    assert loaded.steps == agent.steps == 32
    assert loaded.rollouts.recent_returns == agent.rollouts.recent_returns
    assert loaded.rollouts.recent_lengths == agent.rollouts.recent_lengths
    assert len(loaded.rollouts.recent_returns) == 6


def test_the_configuration_is_the_same(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path)
    assert loaded.config == agent.config


def test_the_next_update_is_the_same_to_the_last_bit(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path)
    rollout = agent.rollouts.collect(lambda x: agent.policy(x).sample_action())
    assert agent.update(*rollout) == loaded.update(*rollout)
    np.testing.assert_array_equal(weights(agent), weights(loaded))


@pytest.mark.parametrize("seed", [0, None])
def test_training_that_goes_on_ends_where_an_uninterrupted_one_does(tmp_path, seed):
    # Episodes of one step, so that there is no state of the environments to be kept.
    agent, loaded = trained_and_loaded(tmp_path, Bandit, seed=seed)
    expected, got = agent.learn(32).history, loaded.learn(32).history
    assert got["steps"] == [48, 64]
    for history in (expected, got):
        del history["steps_per_second"]
    np.testing.assert_equal(got, expected)
    np.testing.assert_array_equal(weights(loaded), weights(agent))


def test_a_loaded_agent_can_be_saved_again(tmp_path):
    agent, loaded = trained_and_loaded(tmp_path / "first")
    loaded.save(tmp_path / "second")
    np.testing.assert_array_equal(weights(PPO.load(tmp_path / "second", continuous)), weights(agent))


def test_saving_replaces_what_was_saved_before(tmp_path):
    agent = small(counters(3, 3, 3, 3))
    agent.save(tmp_path)
    agent.learn(16)
    agent.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FILES)
    np.testing.assert_array_equal(weights(PPO.load(tmp_path, Counter)), weights(agent))


def test_an_agent_that_never_learnt_is_loaded_too(tmp_path):
    agent = small(Counter)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path, Counter)
    assert loaded.steps == 0
    np.testing.assert_array_equal(weights(loaded), weights(agent))


def test_own_networks_are_saved(tmp_path):
    trunk = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu")])
    value = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    agent = small(policy=kg.Policy(trunk, CategoricalHead(2)), value=value)
    agent.save(tmp_path)
    np.testing.assert_array_equal(weights(PPO.load(tmp_path, Counter)), weights(agent))


def test_a_learning_rate_set_by_a_callback_is_kept(tmp_path):
    agent = small(Counter)
    agent.learn(16, [keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)])
    agent.save(tmp_path)
    assert float(PPO.load(tmp_path, Counter).optimizer.learning_rate) == 0.125


def test_a_saved_policy_needs_no_agent(tmp_path):
    agent = small(Counter)
    agent.save(tmp_path)
    policy = keras.models.load_model(tmp_path / "policy.keras", safe_mode=True)
    np.testing.assert_array_equal(policy(np.ones((1, 2))).logits, agent.policy(np.ones((1, 2))).logits)


# Which environment


def test_an_id_is_kept(tmp_path):
    small("CartPole-v1").save(tmp_path)
    assert PPO.load(tmp_path).env == "CartPole-v1"


def test_an_id_can_be_replaced(tmp_path):
    small("Acrobot-v1").save(tmp_path)
    assert PPO.load(tmp_path, Sixfold).env is Sixfold


def test_a_function_that_makes_environments_has_to_be_given_again(tmp_path):
    small(Counter).save(tmp_path)
    with pytest.raises(ValueError, match="`env` must be given .* Received: None"):
        PPO.load(tmp_path)


def test_a_vector_env_has_to_be_given_again(tmp_path):
    envs = SyncVectorEnv([Counter] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    small(envs).save(tmp_path)
    assert PPO.load(tmp_path, envs).envs is envs


# Schedules

SCHEDULES = [PolynomialDecay(0.1, 10, 0.01), keras.optimizers.schedules.CosineDecay(0.1, 10)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_schedules_are_kept(tmp_path, schedule):
    agent = small(Counter, learning_rate=schedule, clip_range=schedule)
    agent.save(tmp_path)
    config = PPO.load(tmp_path, Counter).config
    for mine in (config.learning_rate, config.clip_range):
        assert type(mine) is type(schedule) and mine.get_config() == schedule.get_config()


def test_a_schedule_goes_on_where_it_stopped(tmp_path):
    agent = small(Bandit, learning_rate=PolynomialDecay(0.1, 3, 0.0))
    agent.learn(32)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path, Bandit)
    np.testing.assert_allclose(loaded.learn(16).history["learning_rate"], 0.0, atol=1e-9)


def test_configurations_survive_json():
    config = PPOConfig(hidden_units=(8, 4), clip_range=SCHEDULES[0], max_grad_norm=None, normalize_rewards=True)
    text = json.dumps(checkpoint.config_to_json(config))
    back = PPOConfig(**checkpoint.config_from_json(json.loads(text)))
    assert back.clip_range.get_config() == config.clip_range.get_config()
    assert checkpoint.config_to_json(back) == checkpoint.config_to_json(config)
    assert back.hidden_units == (8, 4) and back.max_grad_norm is None


# Folders that are no good


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    small("CartPole-v1").save(folder)
    return folder


@pytest.fixture
def run(saved, tmp_path):
    """A copy of a saved agent to be damaged."""
    return shutil.copytree(saved, tmp_path / "run")


def assert_refused(run, match):
    with pytest.raises(ValueError, match=f"{match}.* Received: .*{run.name}") as error:
        PPO.load(run)
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_refused(tmp_path):
    assert_refused(tmp_path / "nowhere", "A run must be an existing folder")


def test_a_file_in_place_of_the_folder_is_refused(saved):
    assert_refused(saved / "policy.keras", "A run must be an existing folder")


def test_an_empty_folder_is_refused(tmp_path):
    assert_refused(tmp_path, "A run must contain the file config.json")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(run, name):
    (run / name).unlink()
    assert_refused(run, f"A run must contain the file {name}")


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_is_refused(run, name):
    (run / name).write_bytes(b"")
    assert_refused(run, "damaged")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(run, name):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) // 2])
    assert_refused(run, "damaged")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_garbage_is_refused(run, name):
    (run / name).write_bytes(np.random.default_rng(0).bytes(1000))
    assert_refused(run, "damaged")


CONFIGS = {
    "a list": [],
    "empty": {},
    "without env": {"agent": "ppo", "config": {}},
    "without settings": {"agent": "ppo", "env": "CartPole-v1"},
    "settings are no object": {"agent": "ppo", "env": "CartPole-v1", "config": 3},
    "env is a number": {"agent": "ppo", "env": 3, "config": {}},
    "unknown setting": {"agent": "ppo", "env": "CartPole-v1", "config": {"speed": 3}},
    "setting of another type": {"agent": "ppo", "env": "CartPole-v1", "config": {"gamma": "high"}},
    "unknown schedule": {"agent": "ppo", "env": "CartPole-v1", "config": {"clip_range": {"class_name": "Foo"}}},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_foreign_configuration_is_refused(run, config):
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="Received: ") as error:
        PPO.load(run)
    assert "\n" not in str(error.value)


def test_a_setting_out_of_range_is_refused(run):
    config = json.loads((run / "config.json").read_text())
    config["config"]["gamma"] = 2
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="`gamma` must .* Received: gamma=2"):
        PPO.load(run)


def test_a_policy_file_that_is_no_policy_is_refused(run):
    shutil.copy(run / "value.keras", run / "policy.keras")
    assert_refused(run, "damaged")


def test_networks_of_another_environment_are_refused(run, tmp_path):
    small("Pendulum-v1").save(tmp_path / "other")
    for name in ("policy.keras", "value.keras"):
        shutil.copy(tmp_path / "other" / name, run / name)
    with pytest.raises(ValueError) as error:
        PPO.load(run)
    assert "\n" not in str(error.value)


def test_the_state_of_another_agent_is_refused(run, tmp_path):
    small("CartPole-v1", hidden_units=(5, 5)).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "state.npz", run / "state.npz")
    assert_refused(run, "damaged")


def test_state_without_a_name_is_refused(run):
    with np.load(run / "state.npz") as arrays:
        kept = {name: x for name, x in arrays.items() if name != "steps"}
    np.savez(run / "state.npz", **kept)
    assert_refused(run, "damaged")


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (self.file, "w")


def test_state_is_never_unpickled(run, tmp_path):
    with np.load(run / "state.npz") as arrays:
        poisoned = dict(arrays) | {"steps": np.array(Trap(str(tmp_path / "trapped")), dtype=object)}
    np.savez(run / "state.npz", **poisoned)
    assert_refused(run, "damaged")
    assert not (tmp_path / "trapped").exists()


def test_a_network_that_holds_code_is_refused(run):
    value = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x[:, :1])])
    value.save(run / "value.keras")
    assert_refused(run, "")
