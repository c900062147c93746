"""How episodes end."""

import gymnasium
import pytest
from gymnasium.wrappers import TimeLimit

from tests.envs.checking.helpers import Clean, found, text_of


class Endless(Clean):
    def terminates(self):
        return False


class Fixed(Clean):
    """Terminates at step 20."""

    def terminates(self):
        return self.count == 20


def test_no_end_in_sight_and_no_limit_is_worth_a_line():
    assert found(Endless) == {"no_end": "advice"}
    assert "within 200 random steps" in text_of(Endless, "no_end") and "TimeLimit" in text_of(Endless, "no_end")


@pytest.mark.parametrize("limit", [50, 10_000])
def test_a_limit_of_time_is_an_end(limit):
    assert found(lambda: TimeLimit(Endless(), limit)) == {}


def test_a_limit_of_the_registration_is_an_end():
    gymnasium.register("kgdists/Endless-v0", Endless, max_episode_steps=10_000)
    try:
        assert found("kgdists/Endless-v0") == {}
    finally:
        del gymnasium.registry["kgdists/Endless-v0"]


def test_episodes_that_all_terminate_at_one_step_look_like_a_limit_of_time():
    assert found(Fixed) == {"time_limit": "advice"}
    assert text_of(Fixed, "time_limit").startswith("10 of 10 episodes terminated at step 20")


def test_terminating_at_the_very_limit_is_taken_for_it():
    class Mostly(Fixed):
        def terminates(self):
            return super().terminates() or (self.count < 20 and self.np_random.random() < 0.01)

    assert found(lambda: TimeLimit(Mostly(), 20)) == {"time_limit": "advice"}


def test_episodes_of_one_step_are_no_limit_of_time():
    class Bandit(Clean):
        def terminates(self):
            return True

    assert found(Bandit) == {}


def test_what_is_truncated_at_its_first_step_is_named():
    class AtOnce(Endless):
        def step(self, action):
            observation, reward, _, _, info = super().step(action)
            return observation, reward, False, True, info

    assert found(AtOnce) == {"ends_at_once": "advice"}


def test_an_environment_that_resets_itself_is_told_not_to():
    class Resetting(Clean):
        def step(self, action):
            observation, reward, terminated, truncated, info = super().step(action)
            if terminated:
                info = {"final_observation": observation}
                observation, _ = self.reset()
            return observation, reward, terminated, truncated, info

    assert found(Resetting) == {"autoreset": "advice"}
