import io
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras.optimizers.schedules import PolynomialDecay

import kgdists as kg
from kgdists.agents import PPO, PPOConfig
from kgdists.core.files import DamagedFileError
from kgdists.core.run_warning import RunWarning
from kgdists.layers import CategoricalHead
from kgdists.runs import checkpoint, layout
from tests.agents.helpers import Bandit, Noise, counters, saved_run, small, weights

FILES = ["checkpoints", "config.json", "policy.keras"]
PARTS = ["config.json", "policy.keras", "state.npz", "value.keras"]
OPTIONS = {"batch_size": 8, "normalize_observations": True, "normalize_rewards": True}


class Walk(Noise):
    """Moves by noise and actions; episodes go on beyond a rollout."""

    action_space = Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.normal(size=2)
        return self.place.astype("float32"), {}

    def step(self, action):
        self.place += action + self.np_random.normal(size=2)
        return self.place.astype("float32"), -np.abs(self.place).sum(), self.np_random.random() < 0.1, False, {}


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An agent that has learnt, and its folder."""
    agent, folder = small(Walk, **OPTIONS), tmp_path_factory.mktemp("trained")
    agent.learn(32)
    agent.save(folder)
    return agent, folder


def names(folder):
    return sorted(file.name for file in folder.iterdir())


# Round trips


def test_a_folder_holds_these_files_and_no_others(tmp_path):
    small().save(tmp_path / "new" / "run")
    assert names(tmp_path / "new" / "run") == FILES
    assert names(tmp_path / "new" / "run" / "checkpoints") == ["0.zip"]
    with zipfile.ZipFile(tmp_path / "new" / "run" / "checkpoints" / "0.zip") as archive:
        assert sorted(archive.namelist()) == PARTS


@pytest.mark.exhaustive
def test_what_is_loaded_is_the_same_to_the_last_bit(trained):
    agent, loaded = trained[0], PPO.load(trained[1], Walk)
    x = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x), agent.predict(x))
    np.testing.assert_array_equal(loaded.predict(x, deterministic=False), agent.predict(x, deterministic=False))
    np.testing.assert_array_equal(loaded.value(x), agent.value(x))
    assert int(loaded.optimizer.iterations) == 4
    for mine, theirs in zip(loaded.optimizer.variables, agent.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert loaded.checkpoint == agent.checkpoint == trained[1] / "checkpoints" / "32.zip"
    assert loaded.config == agent.config and loaded.steps == agent.steps == 32
    for name in ("recent_returns", "recent_lengths"):
        assert getattr(loaded.rollouts, name) == getattr(agent.rollouts, name) != []


@pytest.mark.exhaustive  # of one agent in tests/cli/test_resume.py
@pytest.mark.parametrize("seed", [0, None])
def test_training_that_goes_on_ends_where_an_uninterrupted_one_does(tmp_path, seed):
    agent = small(Walk, **OPTIONS, seed=seed)
    agent.learn(16)
    agent.save(tmp_path / "first")
    loaded = PPO.load(tmp_path / "first", Walk)
    expected, history = agent.learn(32).history, loaded.learn(16)
    assert history.epoch == [1] and history.history["steps"] == [32]
    loaded.save(tmp_path / "second")
    again = PPO.load(tmp_path / "second", Walk)
    got = again.learn(16).history
    for name in expected.keys() - {"steps_per_second"}:
        np.testing.assert_equal(history.history[name] + got[name], expected[name])
    np.testing.assert_array_equal(weights(again), weights(agent))
    np.testing.assert_equal(again.arrays(), agent.arrays())


@pytest.mark.exhaustive
def test_the_last_two_are_kept(tmp_path):
    agent = small(Bandit)
    for steps in (16, 32, 48):
        agent.steps = steps
        agent.save(tmp_path)
    assert names(tmp_path / "checkpoints") == ["32.zip", "48.zip"]
    assert PPO.load(tmp_path, Bandit).steps == 48
    assert PPO.load(tmp_path / "checkpoints" / "32.zip", Bandit).steps == 32


@pytest.mark.exhaustive
def test_what_overwrites_another_run_is_what_is_loaded(tmp_path):
    agent, other = small(Bandit), small(Bandit, gamma=0.5)
    agent.steps = 32
    agent.save(tmp_path)
    other.save(tmp_path, overwrite=True)
    assert names(tmp_path / "checkpoints") == ["0.zip"]
    assert PPO.load(tmp_path, Bandit).config.gamma == 0.5


def test_the_configuration_keeps_what_else_is_in_it(tmp_path):
    agent = small(Bandit)
    layout.write_config(tmp_path, checkpoint.identity(agent) | {"total_steps": 99})
    agent.save(tmp_path)
    assert layout.read_config(tmp_path)["total_steps"] == 99


def test_own_networks_are_saved(tmp_path):
    trunk = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu")])
    value = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    agent = small(policy=kg.Policy(trunk, CategoricalHead(2)), value=value)
    agent.save(tmp_path)
    np.testing.assert_array_equal(weights(PPO.load(tmp_path, Noise)), weights(agent))


@pytest.mark.exhaustive
def test_a_learning_rate_set_by_a_callback_is_kept(tmp_path):
    agent = small(Bandit)
    agent.learn(16, [keras.callbacks.LearningRateScheduler(lambda epoch: 1e-5)])
    agent.save(tmp_path)
    assert float(PPO.load(tmp_path, Bandit).optimizer.learning_rate) == np.float32(1e-5)


def test_an_environment_without_an_id_has_to_be_given_again(tmp_path):
    small(Bandit).save(tmp_path)
    with pytest.raises(ValueError, match="`env` must be given .* Received: None"):
        PPO.load(tmp_path)


def test_a_vector_env_has_to_be_given_again_and_starts_new_episodes(tmp_path):
    envs = SyncVectorEnv([Walk] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = small(envs)
    agent.rollouts.reset()
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path, envs)
    assert loaded.envs is envs and loaded.rollouts.observations is None


# Schedules

SCHEDULES = [PolynomialDecay(0.1, 10, 0.01), keras.optimizers.schedules.CosineDecay(0.1, 10)]


@pytest.mark.few(1)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_schedules_are_kept(tmp_path, schedule):
    agent = small(Bandit, learning_rate=schedule, clip_range=schedule)
    agent.save(tmp_path)
    config = PPO.load(tmp_path, Bandit).config
    for mine in (config.learning_rate, config.clip_range):
        assert type(mine) is type(schedule) and mine.get_config() == schedule.get_config()


@pytest.mark.exhaustive
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


# Checkpoints that are no good


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run with two checkpoints."""
    return saved_run(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def run(saved, tmp_path):
    """A copy of the run to be damaged."""
    return shutil.copytree(saved, tmp_path / "run")


def replaced(file, **parts):
    """Write another archive in place of one: a part of None is left out."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents |= {name.replace("_", "."): x for name, x in parts.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, x in contents.items():
            if x is not None:
                archive.writestr(name, x)


def flipped(file, part):
    """Flip a bit in the middle of a part of an archive."""
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(part)
    content[info.header_offset + info.compress_size // 2] ^= 16
    file.write_bytes(content)


def with_state(file, changes):
    with zipfile.ZipFile(file) as archive, np.load(io.BytesIO(archive.read("state.npz"))) as arrays:
        arrays = {name: x for name, x in (dict(arrays) | changes).items() if x is not None}
    state = io.BytesIO()
    np.savez(state, **arrays)
    replaced(file, state_npz=state.getvalue())


def with_header(file, **changes):
    with zipfile.ZipFile(file) as archive:
        header = json.loads(archive.read("config.json"))
    replaced(file, config_json=json.dumps(header | changes))


def with_model(file, name, model):
    path = file.with_name("other.keras")
    model.save(path)
    replaced(file, **{f"{name}_keras": path.read_bytes()})
    path.unlink()


class Trap:
    """Unpickling it raises the alarm."""

    def __reduce__(self):
        return exec, ("import tests.runs.test_checkpoint as x; x.ALARMS.append(1)",)


ALARMS = []
DENSE = [keras.Input((4,)), keras.layers.Dense(1)]
CODE = [keras.Input((4,)), keras.layers.Lambda(lambda x: x[:, :1])]
DAMAGE = {
    "cut short": (lambda file: file.write_bytes(file.read_bytes()[:-100]), "no item named 'config.json'"),
    "half written": (lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]), "no whole zip"),
    "empty": (lambda file: file.write_bytes(b""), "no whole zip archive"),
    "garbage": (lambda file: file.write_bytes(np.random.default_rng(0).bytes(1000)), "no whole zip archive"),
    "a bit of the state flipped": (lambda file: flipped(file, "state.npz"), "a checksum differs"),
    "a bit of the policy flipped": (lambda file: flipped(file, "policy.keras"), "a checksum differs"),
    "another archive": (lambda file: replaced(file, **dict.fromkeys(x.replace(".", "_") for x in PARTS)), "no item"),
    "no state": (lambda file: replaced(file, state_npz=None), "no item named 'state.npz'"),
    "header no JSON": (lambda file: replaced(file, config_json="{"), "Expecting property name"),
    "another format": (lambda file: with_header(file, format=99), "its format is 99"),
    "another run": (lambda file: with_header(file, env="Acrobot-v1"), "it is the checkpoint of another run"),
    "an array less": (lambda file: with_state(file, {"steps": None}), "steps"),
    "an array of another shape": (lambda file: with_state(file, {"generator_0": np.zeros(7)}), "shape"),
    "a pickle": (lambda file: with_state(file, {"steps": np.array(Trap(), dtype=object)}), "allow_pickle=False"),
    "policy no policy": (lambda file: with_model(file, "policy", keras.Sequential(DENSE)), "holds no Policy"),
    "model no model": (lambda file: replaced(file, value_keras=b"PK"), "value.keras cannot be loaded"),
    "a model with code": (
        lambda file: with_model(file, "value", keras.Sequential(CODE)),
        "value.keras cannot be loaded",
    ),
}


@pytest.mark.few(1)
@pytest.mark.parametrize(("damage", "match"), DAMAGE.values(), ids=DAMAGE)
def test_the_last_good_checkpoint_is_used(run, damage, match):
    damage(run / "checkpoints" / "32.zip")
    with pytest.warns(RunWarning, match=f"(?s)damaged: .*{match}.* Received: .*32.zip. Going on from 16.zip") as found:
        assert PPO.load(run).steps == 16
    (warning,) = [x for x in found if x.category is RunWarning]
    assert "\n" not in str(warning.message) and not ALARMS


def test_a_run_without_a_good_checkpoint_is_refused_in_one_line(run):
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DamagedFileError, match="no whole zip archive. Received: .*32.zip") as error:
        PPO.load(run)
    assert "\n" not in str(error.value)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ValueError, match="A run must contain a checkpoint. Received: .*run"):
        PPO.load(run)


def test_a_flipped_bit_is_found_wherever_it_is(run, monkeypatch):
    monkeypatch.setattr(checkpoint, "_model", lambda archive, name, folder: archive.read(name))
    monkeypatch.setattr(checkpoint, "Policy", bytes)
    monkeypatch.setattr(checkpoint, "_unsound", lambda models, arrays: [])
    file, draw = run / "checkpoints" / "32.zip", np.random.default_rng(0)
    good, expected, refused = file.read_bytes(), checkpoint._read(PPO, file), 0
    places = [*draw.integers(len(good), size=100), *draw.integers(len(good) - 400, len(good), size=100)]
    for place in places:
        content = bytearray(good)
        content[place] ^= 1 << draw.integers(8)
        file.write_bytes(content)
        try:
            found = checkpoint._read(PPO, file)
        except DamagedFileError as error:
            assert "\n" not in str(error)
            refused += 1
        else:  # in a date, for instance
            np.testing.assert_equal(found, expected)
    assert refused > 120


class Killed(BaseException):
    pass


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("last", [1, 2])
def test_saving_that_is_cut_off_leaves_a_good_checkpoint(run, monkeypatch, name, last):
    agent, calls = PPO.load(run), []
    agent.steps = 48
    real = getattr(checkpoint.zipfile.os, name)

    def cut_off(*arguments):
        calls.append(arguments)
        if len(calls) == last:
            raise Killed
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(f"os.{name}", cut_off)
        with pytest.raises(Killed):
            agent.save(run)
    assert PPO.load(run).steps == (32 if last == 1 else 48)
    agent.save(run)
    assert names(run) == FILES and names(run / "checkpoints") == ["32.zip", "48.zip"]
    assert PPO.load(run).steps == 48


def test_what_a_killed_process_left_is_cleared_away(run):
    (run / "checkpoints" / "partial-48.zip").write_bytes(b"PK")
    (run / "checkpoints" / "partial-abc").mkdir()
    agent = PPO.load(run)
    agent.save(run)
    assert names(run / "checkpoints") == ["16.zip", "32.zip"]


# Runs that are no good


def refused(run, match):
    with pytest.raises(ValueError, match=f"{match}.*Received: ") as error:
        PPO.load(run)
    assert "\n" not in str(error.value)


def test_what_is_no_run_is_refused(saved, tmp_path):
    refused(tmp_path / "nowhere", "A run must be an existing folder")
    refused(tmp_path, "A run must contain the file config.json")
    refused(saved / "policy.keras", "it lacks 'agent'")


CONFIGS = {
    "a list": [],
    "a number": 3,
    "empty": {},
    "without env": {"agent": "ppo", "config": {}},
    "without settings": {"agent": "ppo", "env": "CartPole-v1"},
    "of another": {"agent": "ppo", "env": "CartPole-v1", "config": {}},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_foreign_configuration_is_refused(run, config):
    (run / "config.json").write_text(json.dumps(config))
    refused(run, "damaged")


SETTINGS = {
    "no object": (3, "damaged"),
    "unknown": ({"speed": 3}, "unknown settings, speed"),
    "of another type": ({"gamma": "high"}, "`gamma` must"),
    "out of range": ({"gamma": 2}, "`gamma` must"),
    "unknown schedule": ({"clip_range": {"class_name": "Foo"}}, "`clip_range` must"),
}


@pytest.mark.parametrize(("settings", "match"), SETTINGS.values(), ids=SETTINGS)
def test_foreign_settings_are_refused(run, settings, match):
    file = run / "checkpoints" / "32.zip"
    with_header(file, config=settings)
    refused(file, match)


def test_networks_of_another_environment_are_refused(run):
    with_header(run / "checkpoints" / "32.zip", env="Pendulum-v1")
    refused(run / "checkpoints" / "32.zip", "networks must fit its environment")


def test_state_that_holds_objects_is_not_saved(tmp_path):
    agent = small(Bandit)
    agent.rollouts.recent_returns.append(counters)
    with pytest.raises(ValueError, match="must be arrays of numbers. Received: objects in rollouts_recent_returns"):
        agent.save(tmp_path)
    assert names(tmp_path) == []
