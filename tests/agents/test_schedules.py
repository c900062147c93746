"""Going on with a training: what becomes of its learning rate, its schedules, and what it learns."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

import kgdists as kg
from kgdists.agents.schedules import Moved, stretch, stretched
from kgdists.core.run_warning import RunWarning
from tests.agents.helpers import Bandit, Noise, small, weights
from tests.cli.helpers import assert_one_line, kgdists
from tests.marks import exhaustive

TINY = ["--num-envs", 2, "--n-steps", 8, "--batch-size", 16, "--n-epochs", 1, "--hidden-units", 4]


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


SCHEDULES = {
    "linear": PolynomialDecay(0.1, 10, 0.0),
    "cosine": CosineDecay(0.1, 10),
    "exponential": ExponentialDecay(0.1, 10, 0.5),
    "piecewise": PiecewiseConstantDecay([3, 6], [0.1, 0.05, 0.0]),
    "moved": Moved(PolynomialDecay(0.1, 10, 0.0), factor=2.0),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("start", "factor"), [(0, 1.0), (0, 2.0), (7, 1.0), (7, 0.5), (10**6, 3.0)])
def test_a_moved_schedule_has_the_values_of_the_other_at_other_steps(schedule, start, factor):
    moved = Moved(schedule, start, factor)
    steps = np.array([0.0, 1.0, 5.0, 9.0, 12.0])
    got = [float(moved(int(start + factor * step))) for step in steps]
    expected = [float(schedule(tf.constant(int(factor * step) / factor, "float32"))) for step in steps]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(moved))
    assert [float(again(step)) for step in (start, start + 3)] == [float(moved(step)) for step in (start, start + 3)]


def made(name, **config):
    tiny = {"num_envs": 2, "hidden_units": (4,), "seed": 0} | config
    match name:
        case "ppo":
            return small(Noise, **config)
        case "a2c":
            return kg.agents.A2C(Noise, n_steps=8, epoch_steps=16, **tiny)
        case "reinforce":
            return kg.agents.REINFORCE(Noise, episodes=2, **tiny)
    return kg.agents.SAC(Noise, n_steps=8, epoch_steps=16, learning_starts=1, buffer_size=64, **tiny)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["ppo", *exhaustive("a2c", "reinforce", "sac")])
@pytest.mark.parametrize("is_loaded", [True, False])
@pytest.mark.parametrize("schedule", [PolynomialDecay(0.01, 2, 0.0), CosineDecay(0.01, 2)], ids=["linear", "cosine"])
def test_a_finished_training_that_goes_on_learns_and_says_by_which_schedule(tmp_path, name, is_loaded, schedule):
    agent = made(name, learning_rate=schedule)
    agent.learn(48)
    if is_loaded:
        agent.save(tmp_path)
        agent = type(agent).load(tmp_path, Noise)
    before = weights(agent)
    with pytest.warns(RunWarning, match=f"stretched to {agent.steps + 64} steps: `learning_rate` from 0.00"):
        agent.learn(64)
    assert not np.array_equal(weights(agent), before)
    agent.save(tmp_path / "second")
    again = type(agent).load(tmp_path / "second", Noise)
    assert float(again.optimizer.learning_rate) == float(agent.optimizer.learning_rate)
    assert isinstance(again.config.learning_rate, Moved)


@pytest.mark.exhaustive
def test_a_clip_range_that_has_decayed_goes_on_too():
    agent = small(Bandit, clip_range=PolynomialDecay(0.2, 2, 0.0))
    agent.learn(32)
    with pytest.warns(RunWarning, match="`clip_range` from 0.1"):
        agent.learn(32)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "rate", [1e-3, ExponentialDecay(0.1, 1, 0.5), PolynomialDecay(0.1, 100, 0.0), PolynomialDecay(0.1, 1, 0.01)]
)
def test_a_training_whose_schedule_has_not_ended_goes_on_as_planned(rate):
    agent = small(Bandit, learning_rate=rate)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RunWarning)
        agent.learn(16)
        agent.learn(32)
    assert agent.config.learning_rate is rate


RATES = {
    "a number": 0.125,
    "an int": 1,
    "a schedule": PolynomialDecay(0.125, 100, 0.0),
    "a cosine": CosineDecay(0.125, 100),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("before", [1e-3, PolynomialDecay(0.01, 2, 0.0)], ids=["number", "schedule"])
@pytest.mark.parametrize("name", ["ppo", *exhaustive("a2c", "reinforce", "sac")])
def test_a_learning_rate_is_set_where_an_agent_is_loaded(tmp_path, name, before, rate):
    agent = made(name, learning_rate=before)
    agent.learn(48)
    agent.save(tmp_path)
    moments = [np.array(x) for x in agent.optimizer._momentums] if name == "ppo" else []
    agent = type(agent).load(tmp_path, Noise, learning_rate=rate)
    for mine, theirs in zip(agent.optimizer._momentums if moments else [], moments, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = rate if isinstance(rate, (int, float)) else 0.125
    assert float(agent.optimizer.learning_rate) == pytest.approx(expected)
    old = weights(agent)
    agent.learn(16)
    assert not np.array_equal(weights(agent), old)
    agent.save(tmp_path)  # it is the same run
    again = type(agent).load(tmp_path, Noise)
    assert float(again.optimizer.learning_rate) == float(agent.optimizer.learning_rate)
    np.testing.assert_array_equal(weights(again), weights(agent))
    (tmp_path / "checkpoints" / f"{agent.steps}.zip").write_bytes(b"")
    with pytest.warns(RunWarning, match="Going on from"):  # the one before, of the rate before, is a good one
        assert type(agent).load(tmp_path, Noise).steps < agent.steps


@pytest.mark.few(1)
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), "fast", True, 10**400])
def test_a_learning_rate_that_is_none_is_refused(tmp_path, rate):
    small(Bandit).save(tmp_path)
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number > 0 or a LearningRateSchedule"):
        kg.agents.PPO.load(tmp_path, Bandit, learning_rate=rate)


class Broken(LearningRateSchedule):
    def __call__(self, step):
        raise KeyError("no such step")


WRONG = {
    "a text": (PolynomialDecay("0.001", 100), "raised"),
    "what ends below 0": (PolynomialDecay(0.001, 100, -0.001), "with -0.001"),
    "what starts below 0": (ExponentialDecay(-0.001, 100, 0.5), "with -0.001"),
    "NaN": (CosineDecay(float("nan"), 100), "with nan"),
    "inf": (ExponentialDecay(float("inf"), 100, 0.5), "with inf"),
    "one's own that raises": (Broken(), "Broken, which raised"),
    "rates without one at the end": (PiecewiseConstantDecay([1, 2], [0.1, 0.2, None]), "raised"),
}


@pytest.mark.parametrize(("schedule", "what"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("setting", ["learning_rate", "clip_range"])
def test_a_schedule_of_no_numbers_is_refused_where_it_is_given(setting, schedule, what):
    with pytest.raises(ValueError, match=f"`{setting}` must be a schedule of .*numbers.* Received: .*{what}"):
        kg.agents.PPOConfig(**{setting: schedule})


@pytest.mark.exhaustive
def test_what_was_compiled_goes_on_with_the_new_schedule():
    tf.config.run_functions_eagerly(False)
    agent = small(Bandit, learning_rate=PolynomialDecay(0.01, 2, 0.0))
    agent.learn(32)
    assert stretch(agent, 2.0) == {"learning_rate": pytest.approx(0.005)}
    history = agent.learn(32).history
    tf.config.run_functions_eagerly(True)
    np.testing.assert_allclose(history["learning_rate"], [0.0025, 0.0], atol=1e-8)


# On the command line


@pytest.mark.exhaustive
def test_a_finished_run_goes_on_to_more_steps(tmp_path, capsys):
    run = tmp_path / "run"
    assert kgdists("train", "CartPole-v1", "--agent", "ppo", *TINY, "--steps", 32, "--out", run) == 0
    before = weights(kg.agents.PPO.load(run))
    capsys.readouterr()
    assert kgdists("resume", run, "--steps", 64) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [
        "learning_rate is stretched from 32 to 64 steps, and goes on from 0.0005",
        "clip_range is stretched from 32 to 64 steps, and goes on from 0.1",
        f"ppo on CartPole-v1, from step 32 to 64, in {run}",
    ]
    agent = kg.agents.PPO.load(run)
    assert agent.steps == 64 and not np.array_equal(weights(agent), before)
    assert json.loads((run / "config.json").read_text())["total_steps"] == 64
    assert float(agent.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-8)
    assert kgdists("resume", run) == 0
    assert capsys.readouterr().out == f"{run} is finished, after 64 steps\n"
    for steps, message in ((32, "at least the 64 that are taken"), (0, "from 1 to"), (-5, "from 1 to")):
        assert_one_line(capsys, kgdists("resume", run, "--steps", steps), f"`--steps` must be {message}")


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["ppo", "a2c", "sac"])
@pytest.mark.parametrize("steps", [10, 17, 50])
def test_a_schedule_is_stretched_to_the_steps_that_are_taken(name, steps):
    agent = made(name, learning_rate=PolynomialDecay(0.01, 2, 0.0))
    agent.learn(48)
    planned = 48 + -(-steps // 16) * 16
    with pytest.warns(RunWarning, match=f"stretched to {planned} steps"):
        agent.learn(steps)
    assert agent.steps == planned
    taken, rate = int(agent.optimizer.iterations), agent.config.learning_rate
    assert taken == agent.config.num_gradient_steps(planned)
    assert float(rate(taken)) < 1e-7 < float(rate(taken - 1))


@pytest.mark.exhaustive
def test_a_schedule_that_would_end_soon_ends_with_the_last_step():
    agent = made("a2c", learning_rate=PolynomialDecay(0.01, 4, 0.0))
    agent.learn(48)
    assert int(agent.optimizer.iterations) == 3  # one before the end
    with pytest.warns(RunWarning, match="stretched to 208 steps"):
        agent.learn(160)
    taken, rate = int(agent.optimizer.iterations), agent.config.learning_rate
    assert taken == 13 and float(rate(taken)) < 1e-7 < float(rate(taken - 1))


@pytest.mark.exhaustive
def test_a_schedule_that_ended_long_ago_is_stretched_to_the_end_too():
    agent = small(Bandit, learning_rate=PolynomialDecay(0.01, 1, 0.0))
    agent.learn(160)
    before = weights(agent)
    with pytest.warns(RunWarning, match="stretched to 176 steps: `learning_rate` from 0.00"):
        agent.learn(16)
    assert not np.array_equal(weights(agent), before)
    with pytest.warns(RunWarning, match="stretched to 336 steps"):
        agent.learn(160)
    assert float(agent.config.learning_rate(int(agent.optimizer.iterations) - 1)) > 1e-7


@pytest.mark.parametrize(("steps", "total"), [(20, 48), (48, 20), (33, 320)])
@pytest.mark.parametrize("name", ["ppo", *exhaustive("a2c", "sac")])
def test_a_run_that_is_planned_for_other_steps_learns_to_its_end(tmp_path, name, steps, total):
    config = made(name).config
    ratio = stretched(config, steps, total)
    old, new = config.num_gradient_steps(steps), config.num_gradient_steps(total)
    moved = Moved(PolynomialDecay(0.01, old, 0.0), factor=ratio)
    assert float(moved(new)) < 1e-7 < float(moved(new - 1))


def test_the_steps_of_whole_episodes_are_planned_by_their_number():
    assert kg.agents.REINFORCEConfig().num_gradient_steps(100) is None
    assert stretched(kg.agents.REINFORCEConfig(), 100, 250) == 2.5
