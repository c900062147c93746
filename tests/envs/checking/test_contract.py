"""What `reset` and `step` return: errors where nothing can be learned from it, advice where it is cast or left out."""

import re

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

import kgdists as kg
from tests.envs.checking.helpers import Clean, changed, found, text_of

NAN = float("nan")
ERRORS = {
    "four values": (lambda o, r, e, t, i: (o, r, e, i), "`step` must return a tuple .* 4 values"),
    "another shape": (lambda o, *rest: (o[:1], *rest), "must have the shape of its space"),
    "a NaN": (lambda o, *rest: (o * NAN, *rest), "must be finite"),
    "an infinite number": (lambda o, *rest: (o / 0.0, *rest), "must be finite"),
    "a text": (lambda o, *rest: ("far", *rest), "must be an array of numbers"),
    "no reward": (lambda o, r, *rest: (o, None, *rest), "reward must be one number"),
    "a reward of shape (1,)": (lambda o, r, *rest: (o, np.ones(1), *rest), "reward must be one number"),
    "a NaN reward": (lambda o, r, *rest: (o, NAN, *rest), "reward must be finite"),
    "a flag that is None": (lambda o, r, e, *rest: (o, r, None, *rest), "`terminated` must be a bool"),
}


@pytest.mark.parametrize("name", ERRORS)
@np.errstate(all="ignore")
def test_what_cannot_be_learned_from_is_an_error(name):
    change, text = ERRORS[name]

    def always(observation, reward, terminated, truncated, info):
        return change(observation, reward, False, truncated, info)

    report = kg.envs.check(changed(always), steps=20)
    assert [finding.name for finding in report.errors] == ["contract"]
    assert re.match(f"step 2 of its episode: .*{text}", report.errors[0].text)


ADVICE = {
    "dtype": (lambda o, *rest: (o.astype("float64"), *rest), "`observation` has dtype float64"),
    "reward_type": (lambda o, r, *rest: (o, np.array(r), *rest), "of type ndarray: return a float"),
    "flag_type": (lambda o, r, e, *rest: (o, r, int(e), *rest), "`terminated` is [01], of type int: return a bool"),
    "info_type": (lambda *rest: (*rest[:4], None), "the info of `step` is None: return a dict"),
    "bounds": (lambda o, *rest: (o + 2.0, *rest), r"`observation\[0\]`.*step 2.*is not in \[-1, 1\]"),
    "action_mask": (lambda *rest: (*rest[:4], {"action_mask": np.ones(2, "int8")}), "ActionMask"),
}


@pytest.mark.parametrize("name", ADVICE)
def test_what_is_cast_or_left_out_is_worth_a_line(name):
    change, text = ADVICE[name]
    assert found(changed(change)) == {name: "advice"}
    assert re.search(text, text_of(changed(change), name))


def test_a_list_of_numbers_is_no_array():
    assert found(changed(lambda o, *rest: (o.tolist(), *rest))) == {"dtype": "advice"}


def test_a_key_that_the_space_lacks_is_named():
    class Named(Clean):
        observation_space = Dict(near=Box(-1.0, 1.0, (2,), "float32"))

        def observed(self):
            return {"near": super().observed(), "far": 1.0}

    assert found(Named) == {"unknown_key": "advice"} and "'far'" in text_of(Named, "unknown_key")


def test_a_buffer_that_is_returned_again_is_noticed():
    class Buffered(Clean):
        buffer = None

        def observed(self):
            self.buffer = np.zeros(2, "float32") if self.buffer is None else self.buffer
            self.buffer[...] = super().observed()
            return self.buffer

    assert found(Buffered) == {"buffer": "advice"}


class OldReset(Clean):
    def reset(self):
        return super().reset()


class NoInfo(Clean):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class NoSpace(Clean):
    observation_space = None


class Other:
    """No environment of Gymnasium."""


@pytest.mark.parametrize(
    ("env", "text"),
    [
        (OldReset, "`reset` must be `reset"),
        (NoInfo, "`reset` must return a tuple"),
        (NoSpace, "must have a `observation_space`"),
        (Other, "must be a gymnasium.Env"),
    ],
)
def test_what_is_no_environment_of_gymnasium_is_an_error(env, text):
    assert found(env) == {"contract": "error"} and text in text_of(env, "contract")


def test_what_step_raises_is_told_with_the_action():
    class Raising(Clean):
        def step(self, action):
            raise KeyError("speed")

    assert found(Raising) == {"raises": "error"}
    assert re.match(r"`step` with the action np.int64\([01]\) raised KeyError\('speed'\)", text_of(Raising, "raises"))


def test_what_reset_raises_is_told():
    class Raising(Clean):
        def reset(self, *, seed=None, options=None):
            raise OSError("no robot")

    assert found(Raising) == {"raises": "error"} and "OSError('no robot')" in text_of(Raising, "raises")


def test_an_environment_that_cannot_be_made_is_an_error():
    class Needy(Clean):
        def __init__(self, size):
            self.size = size

    assert found(Needy) == {"made": "error"} and "size" in text_of(Needy, "made")
