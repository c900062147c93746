"""An environment itself, of which there may be no other: all that is done with an agent is done in that one."""

import gymnasium
import numpy as np
import pytest

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, EvaluateAndKeepBest
from kgdists.runs.recording import record
from tests.agents.helpers import Noise, small, weights
from tests.marks import quick

pytestmark = pytest.mark.usefixtures("eagerly")


class Robot(Noise):
    """Can be made once, and counts its steps; whoever closes it breaks it."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    render_mode = "rgb_array"
    made = steps = 0

    def __init__(self):
        Robot.made += 1
        assert Robot.made == 1, "there is one robot"

    def step(self, action):
        self.steps += 1
        return super().step(action)

    def render(self):
        return np.zeros((8, 8, 3), "uint8")

    def close(self):
        raise AssertionError("the robot was closed")


@pytest.fixture
def robot():
    Robot.made = 0
    return Robot()


AGENTS = {
    "ppo": lambda env: PPO(env, n_steps=8, batch_size=8, n_epochs=1, hidden_units=(4,), seed=0),
    "a2c": lambda env: A2C(env, n_steps=4, epoch_steps=8, hidden_units=(4,), seed=0),
    "sac": lambda env: SAC(env, epoch_steps=8, learning_starts=4, batch_size=4, hidden_units=(4,), seed=0),
    "reinforce": lambda env: REINFORCE(env, episodes=2, hidden_units=(4,), seed=0),
    "es": lambda env: ES(env, popsize=2, episodes=3, hidden_units=(4,), seed=0),
}


@pytest.mark.parametrize("name", quick(["ppo"], list(AGENTS)))
def test_a_robot_trains_is_evaluated_recorded_saved_and_resumed(name, robot, tmp_path):
    agent = AGENTS[name](robot)
    assert agent.envs.num_envs == 1
    keeping = EvaluateAndKeepBest(robot, tmp_path / "best.keras", episodes=2, every_steps=None)
    agent.learn(8, [keeping, kg.agents.Checkpoints(agent, tmp_path / "run")])
    assert len(keeping.evaluations) >= 1 and len(agent.evaluate(3).returns) == 3
    before = robot.steps
    lengths = record(agent.policy, robot, tmp_path / "film.gif", episodes=2).lengths
    assert robot.steps == before + sum(lengths)
    loaded = type(agent).load(tmp_path / "run", robot)
    loaded.learn(8)
    agent.envs.close()
    assert Robot.made == 1 and robot.reset(seed=0)[0].shape == (2,)


def test_what_was_set_for_several_environments_fits_one():
    assert PPO(Noise(), n_steps=32, batch_size=256, seed=0).config.batch_size == 32
    assert PPO(Noise(), n_steps=32, batch_size=32, num_envs=1, seed=0).config.num_envs == 1


@pytest.mark.parametrize("cls", [PPO, A2C, SAC, REINFORCE, ES])
def test_several_of_one_environment_are_refused_in_one_line(cls):
    with pytest.raises(ValueError, match="must be 1 with one environment itself: pass its id, or a function .*=3"):
        cls(Noise(), num_envs=3)


def test_a_run_of_several_environments_goes_on_in_one(robot, tmp_path):
    small().save(tmp_path / "run")
    with pytest.warns(UserWarning, match="The run had 2 environments, this one has 1"):
        agent = PPO.load(tmp_path / "run", robot)
    agent.learn(8)
    assert agent.config.num_envs == 1 and robot.steps == 8


def test_who_gave_an_environment_may_play_in_it_between_two_trainings():
    both = []
    for plays in (False, True):
        env = gymnasium.make("CartPole-v1")
        agent = AGENTS["ppo"](env)
        agent.learn(16)
        if plays:
            env.reset(seed=3)
            for _ in range(5):
                env.step(0)
        agent.learn(16)
        both.append(weights(agent))
    np.testing.assert_array_equal(*both)


@pytest.mark.exhaustive
def test_evaluations_of_a_callback_leave_the_training_in_the_same_environment_as_it_is(tmp_path):
    both = []
    for callbacks in (lambda env: [], lambda env: [EvaluateAndKeepBest(env, tmp_path / "best.keras", episodes=2)]):
        env = Noise()
        agent = AGENTS["ppo"](env)
        agent.learn(32, callbacks(env))
        both.append(weights(agent))
    np.testing.assert_array_equal(*both)


def test_there_are_no_others_to_evaluate_in():
    with pytest.raises(
        ValueError, match="`eval_envs` must be None where environments were given.* Received: eval_envs=2"
    ):
        AGENTS["ppo"](Noise()).evaluate(3, eval_envs=2)
    with pytest.raises(ValueError, match="`eval_envs` must be None or an int >= 1|`eval_envs` must be an int >= 1"):
        small(Noise).evaluate(3, eval_envs=0)
