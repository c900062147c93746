"""Metrics that an environment tells in its infos, by name."""

import csv
from functools import partial

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, make_envs
from kgdists.cli import main
from kgdists.core.run_warning import RunWarning
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.episode_infos import as_number
from kgdists.envs.make import make_env
from kgdists.envs.rollout import Rollouts
from tests.agents.helpers import Counter, small
from tests.cli.helpers import registered
from tests.envs.late import Pool
from tests.envs.test_autoreset import act
from tests.marks import quick

pytestmark = pytest.mark.usefixtures("eagerly")


class Trader(Counter):
    """Its profit is the number of steps, at the end of an episode a hundred more; tells what no array holds too."""

    def __init__(self, length=3):
        super().__init__(length)

    def step(self, action):
        *returned, terminated, truncated, info = super().step(action)
        info = {
            "profit": np.array([self.count + 100.0 * terminated]),
            "is_success": terminated,
            "odd": [self.count, {}],
        }
        return *returned, terminated, truncated, info


class Told(Pool):
    """Hands on `profit` as an array, as EnvPool does."""

    def step(self, actions):
        *returned, infos = super().step(actions)
        return *returned, infos | {"profit": np.array([env.count + 100.0 * (env.count == 3) for env in self.members])}


MAKES = {
    "sync": lambda: make_envs(Trader, 2, log_info=["profit"]),
    "async": lambda: AsyncEnvs(makes_traders(), 2),
    "gymnasium, same step": lambda: make_envs(
        SyncVectorEnv([Trader] * 2, autoreset_mode=AutoresetMode.SAME_STEP), 2, log_info=["profit"]
    ),
    "gymnasium, next step": lambda: make_envs(SyncVectorEnv([Trader] * 2), 2, log_info=["profit"]),
    "gymnasium, disabled": lambda: make_envs(
        SyncVectorEnv([Trader] * 2, autoreset_mode=AutoresetMode.DISABLED), 2, log_info=["profit"]
    ),
    "one program": lambda: Told([Trader] * 2),
}


def makes_traders():
    return [partial(make_env, Trader, i, log_info=("profit",)) for i in range(2)]


@pytest.mark.parametrize("name", quick(set(MAKES) - {"async"}, list(MAKES)))
def test_the_value_at_the_end_of_an_episode_is_told_however_environments_are_stepped(name):
    envs = MAKES[name]()
    rollouts = Rollouts(envs, 8, log_info=["profit"])
    rollouts.collect(act)
    envs.close()
    assert rollouts.infos.means() == {"profit": 103.0} and len(rollouts.infos.recent["profit"]) == 4


AGENTS = {
    "ppo": lambda env, **config: small(env, **config),
    "a2c": lambda env, **config: A2C(env, num_envs=2, n_steps=4, epoch_steps=16, hidden_units=(4,), seed=0, **config),
    "sac": lambda env, **config: SAC(env, epoch_steps=16, learning_starts=100, hidden_units=(4,), seed=0, **config),
    "reinforce": lambda env, **config: REINFORCE(env, num_envs=2, episodes=3, hidden_units=(4,), seed=0, **config),
    "es": lambda env, **config: ES(env, popsize=4, hidden_units=(4,), seed=0, **config),
}


@pytest.mark.filterwarnings("ignore:Environments .* do not repeat their episodes")
@pytest.mark.parametrize("name", quick(["reinforce", "es"], list(AGENTS)))
def test_a_trader_sees_profits_and_successes_in_the_history_and_after_a_resume(name, tmp_path):
    agent = AGENTS[name](Trader, log_info=["is_success", "profit"])
    history = agent.learn(16).history
    assert (history["is_success"][-1], history["profit"][-1]) == (1.0, 103.0)
    agent.save(tmp_path)
    loaded = type(agent).load(tmp_path, Trader)
    assert loaded.config.log_info == ("is_success", "profit")
    expected, found = ({name: x for name, x in one.arrays().items() if "info" in name} for one in (agent, loaded))
    assert len(expected) == 2
    np.testing.assert_equal(found, expected)


def test_what_is_missing_or_no_number_ends_no_training():
    agent = small(Trader, log_info=("odd", "nothing", "profit"))
    with pytest.warns(RunWarning, match="`log_info`: odd, nothing must be a number in the info of the step") as said:
        history = agent.learn(48).history
    assert len([x for x in said if x.category is RunWarning]) == 1
    assert np.isnan(history["odd"]).all() and np.isnan(history["nothing"]).all() and history["profit"][-1] == 103.0


@pytest.mark.exhaustive
def test_a_metric_is_written_and_shown_by_the_command_line(tmp_path, capsys):
    arguments = ["--steps", "32", "--num-envs", "2", "--n-steps", "8", "--batch-size", "16", "--hidden-units", "4"]
    with registered(Trader) as name:
        log = ["--log-info", "profit", "is_success"]
        assert (
            main(["train", name, "--agent", "ppo", *arguments, *log, "--eval-episodes", "2", "--out", str(tmp_path)])
            == 0
        )
    assert "profit: 103.0" in capsys.readouterr().out
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert [(row["profit"], row["is_success"]) for row in csv.DictReader(file)] == [("103.0", "1.0")] * 2


@pytest.mark.parametrize("names", ["profit", [3], ["return"], ["steps"], ["entropy_left"], 3])
def test_a_wrong_name_is_refused(names):
    with pytest.raises(ValueError, match="`log_info` must be a tuple of texts, none of them the name of a metric"):
        PPO(Trader, log_info=names)


NOT_A_NUMBER = {
    "None": None,
    "text": "1.0",
    "array": np.ones(3),
    "dict": {},
    "infinite": np.inf,
    "complex": 1j,
    "huge": 10**400,
}


@pytest.mark.parametrize("name", NOT_A_NUMBER)
def test_what_is_no_number_is_nan(name):
    assert np.isnan(as_number(NOT_A_NUMBER[name]))


@pytest.mark.parametrize("x", [1, 1.0, True, np.float32(1), np.array([1]), np.array([[True]]), np.int64(1)])
def test_numbers_and_flags_are_floats(x):
    assert as_number(x) == 1.0
