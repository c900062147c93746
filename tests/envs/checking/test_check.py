"""Whole checks: clean environments, what is closed, what is refused, and how a report reads."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import SyncVectorEnv

import kgdists as kg
from kgdists.agents import ActionMask
from kgdists.agents.sac_config import SACConfig
from kgdists.envs.checking import Finding, Report, networks, table
from tests.agents.helpers import Trap
from tests.envs.checking.helpers import Clean, changed, found


class Nested(Clean):
    observation_space = Dict(arm=Dict(angle=Box(-1.0, 1.0, (2,), "float32")), tag=Discrete(3, start=1))

    def observed(self):
        return {"arm": {"angle": super().observed()}, "tag": int(self.np_random.integers(1, 4))}


CLEAN = {
    "one of our own": Clean,
    "a dict": Nested,
    "CartPole": "CartPole-v1",
    "Pendulum": "Pendulum-v1",
    "FrozenLake": "FrozenLake-v1",
    "Blackjack": "Blackjack-v1",
    "one that counts actions from 5": lambda: Shifted(),
}


class Shifted(Clean):
    action_space = Discrete(2, start=5)


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_found_in_a_clean_environment(name):
    assert found(CLEAN[name], steps=1_000) == {}


def test_taxi_hands_out_a_mask_that_agents_do_not_see():
    assert found("Taxi-v4", steps=1_000) == {"action_mask": "advice"}
    assert "action_mask" not in found(lambda: ActionMask(gymnasium.make("Taxi-v4")), steps=10)


def test_an_action_that_is_ruled_out_is_not_taken():
    class Forbidding(Trap):
        def step(self, action):
            assert action in np.flatnonzero(self.allowed) + 2
            return super().step(action)

        def _next(self):
            observation, info = super()._next()
            self.allowed = observation["action_mask"]
            return observation, info

    assert "error" not in found(Forbidding).values()


def test_a_check_is_repeated_by_its_seed():
    assert kg.envs.check("CartPole-v1", steps=50, seed=3) == kg.envs.check("CartPole-v1", steps=50, seed=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"steps": 0}, "`steps` must be"), ({"steps": 1.5}, "`steps` must be"), ({"seed": -1}, "`seed` must be")],
)
def test_numbers_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        kg.envs.check(Clean, **options)


@pytest.mark.parametrize("env", [3, None, SyncVectorEnv([Clean])])
def test_what_is_no_single_environment_is_refused(env):
    with pytest.raises(ValueError, match=r"`env` must be an id, a function .* Received: "):
        kg.envs.check(env)


def test_a_mistyped_id_is_an_error_of_gymnasium():
    with pytest.raises(gymnasium.error.Error, match="CartPole"):
        kg.envs.check("CartPoll-v1")


@pytest.mark.parametrize("steps", [1, 7])
def test_no_more_steps_are_taken_than_were_asked_for_by_far(steps):
    counts = []

    class Counting(Clean):
        def step(self, action):
            counts.append(1)
            return super().step(action)

    kg.envs.check(Counting, steps=steps)
    assert len(counts) <= 4 * steps + 40


class Closing(Clean):
    closed = 0

    def close(self):
        type(self).closed += 1


def test_what_was_made_is_closed():
    class Own(Closing):
        closed = 0

    assert kg.envs.check(Own, steps=5)
    assert Own.closed == 2


def test_what_was_made_is_closed_after_an_error_too():
    class Own(Closing):
        closed = 0

        def step(self, action):
            raise KeyError("nothing")

    assert not kg.envs.check(Own, steps=5)
    assert Own.closed == 1


def test_what_was_given_is_left_open_and_as_it_was():
    env = Closing()
    assert kg.envs.check(env, steps=5) and kg.envs.check(lambda: env, steps=5).errors
    assert Closing.closed == 0 and not hasattr(env.action_space, "witness")
    env.step(0)


def test_a_report_is_true_without_errors_and_reads_line_by_line():
    advice, error = Finding("advice", "bounds", "widen them"), Finding("error", "raises", "it raised")
    assert Report("Mine-v0") and Report("Mine-v0", (advice,)) and not Report("Mine-v0", (advice, error))
    report = Report("Mine-v0", (advice, error, error), "observes 2 numbers")
    assert str(report).splitlines() == [
        "Mine-v0: observes 2 numbers",
        "advice: bounds: widen them",
        "error: raises: it raised",
        "error: raises: it raised",
        "2 errors, 1 piece of advice",
    ]
    assert str(Report("Mine-v0", (), "observes 2 numbers")).splitlines()[-1] == "good"


def test_facts_say_what_is_observed_and_which_head_acts():
    report = kg.envs.check(Nested, steps=30)
    assert report.env == "Nested"
    assert report.facts.startswith(
        "observes 3 numbers through CompositeEncoder, acts through CategoricalHead, 30 random steps"
    )


def test_the_replay_that_is_spoken_of_is_that_of_sac():
    assert SACConfig().buffer_size == networks.REPLAYED


def test_all_that_one_environment_has_is_found_at_once():
    many = changed(lambda o, r, *rest: (20.0 * o, r * 100.0, *rest), at=1)
    assert found(many) == {"bounds": "advice", "large_observations": "advice", "large_rewards": "advice"}


def test_every_finding_is_in_the_guide():
    page = (Path(kg.__file__).parents[1] / "docs" / "agents.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \| (error|advice) \| .* \|$", page, re.MULTILINE)
    guide = {name: level for names, level in rows for name in re.findall(r"`(\w+)`", names)}
    tables = (table.ACTION_SPACE, table.OBSERVATION_SPACE, table.FIRST_MOMENT, table.EACH_MOMENT, table.SEEN)
    tables += (table.INSTANCES, table.REPEATED, table.BESIDE)
    known = {name: level for rows in tables for name, level, _ in rows}
    assert guide == known | dict.fromkeys(table.STOPPING, "error")
