"""Several environments at once."""

import numpy as np
from gymnasium.wrappers import TimeLimit

from tests.envs.checking.helpers import Clean, found, text_of


def test_a_function_must_make_a_new_environment_each_time():
    env = Clean()
    assert found(lambda: env) == {"shared": "error"}
    assert found(lambda: TimeLimit(env, 50)) == {"shared": "error"}
    assert "num_envs=1" in text_of(lambda: env, "shared")


def test_an_environment_itself_is_taken_as_it_is():
    assert found(Clean()) == {}


def test_an_environment_that_may_exist_once_is_told():
    class Robot(Clean):
        taken = 0

        def __init__(self):
            Robot.taken += 1
            if Robot.taken > 1:
                raise RuntimeError("the robot is taken")

    assert found(Robot) == {"one_only": "advice"}
    Robot.taken = 0
    assert "RuntimeError('the robot is taken')" in text_of(Robot, "one_only")


def test_environments_must_not_change_one_another():
    class Together(Clean):
        state = np.zeros(2, "float32")  # of the class

        def reset(self, *, seed=None, options=None):
            _, info = super().reset(seed=seed)
            self.state[...] = 0.0
            return self.state.copy(), info

        def observed(self):
            self.state[...] = np.clip(self.state + 0.1 * super().observed(), -1.0, 1.0)
            return self.state.copy()

    assert found(Together) == {"apart": "error"}
