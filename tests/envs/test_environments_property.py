"""Whatever an environment is: it trains, is evaluated and resumed, or one line names it and what it returned.

python -m tests.envs.test_environments_property 500
"""

import collections
import contextlib
import re
import signal
import sys
import tempfile
import warnings

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, Checkpoints
from kgdists.core.run_warning import RunWarning
from kgdists.envs.checked_env import WrongReturnError

BOX = Box(-1.0, 1.0, (2,), "float32")
OBSERVED = [
    BOX,
    Box(-np.inf, np.inf, (1,), "float64"),
    Box(-1.0, 1.0, (), "float32"),
    Box(-2.0, 2.0, (2, 3), "float16"),
    Box(0, 255, (4, 4, 3), "uint8"),
    Box(-5, 10**12, (2,), "int64"),
    Box(0, 1, (3,), "bool"),
    Discrete(5, start=-2),
    MultiBinary((2, 2)),
    MultiDiscrete([3, 2], start=[1, -1]),
    Dict(a=BOX, b=Discrete(3), c=Dict(d=MultiBinary(2))),
    Tuple((BOX, Discrete(2))),
    OneOf((BOX, Discrete(3))),
    Dict(a=BOX, mission=Text(4)),
    Sequence(Discrete(3)),
    Graph(BOX, None),
]
ACTED = [
    Discrete(3),
    Discrete(2, start=5),
    Box(-1.0, 2.0, (2,), "float32"),
    Box(0.0, np.inf, (1,), "float64"),
    Box(0, 7, (2,), "uint8"),
    MultiDiscrete([2, 3]),
    MultiBinary(2),
    Dict(a=Discrete(2), b=Box(-1.0, 1.0, (1,), "float32")),
    Tuple((Discrete(2), MultiBinary(1))),
]
ANYTHING = object()
INFOS = [
    lambda env: {},
    lambda env: {"x": None, "y": env.count},
    lambda env: {"x": np.zeros(env.count + 1)},
    lambda env: {"x": "end" if env.count > 1 else 1.0},
    lambda env: {"x": 2**70, "final_obs": 1, 3: ANYTHING},
    lambda env: {"x": {"y": env.count} if env.count % 2 else env.count},
]
REWARDS = [
    lambda env: 1.0,
    lambda env: 1,
    lambda env: True,
    lambda env: np.float32(env.np_random.normal()),
    lambda env: np.array(0.5),
    lambda env: -1e6 * env.count,
]


def spoiled(x, bad):
    """An observation, or a part of it, with another value."""
    return bad if not isinstance(x, dict) else x | {"a": bad}


# At one step something else is returned.
FAULTS = [
    lambda o, r, te, tr, i: (spoiled(o, np.array([np.nan, 0.0], "float32")), r, te, tr, i),
    lambda o, r, te, tr, i: (spoiled(o, np.zeros(7)), r, te, tr, i),
    lambda o, r, te, tr, i: (spoiled(o, None), r, te, tr, i),
    lambda o, r, te, tr, i: (spoiled(o, 10**30), r, te, tr, i),
    lambda o, r, te, tr, i: (spoiled(o, "word"), r, te, tr, i),
    lambda o, r, te, tr, i: (o, np.inf, te, tr, i),
    lambda o, r, te, tr, i: (o, None, te, tr, i),
    lambda o, r, te, tr, i: (o, np.ones(1), te, tr, i),
    lambda o, r, te, tr, i: (o, [1.0, 2.0], te, tr, i),
    lambda o, r, te, tr, i: (o, r, None, tr, i),
    lambda o, r, te, tr, i: (o, r, te, "yes", i),
    lambda o, r, te, tr, i: (o, r, te, tr),
    lambda o, r, te, tr, i: (o, r, te, tr, None),
    lambda o, r, te, tr, i: (o, r, np.bool_(te), int(tr), i),
    lambda o, r, te, tr, i: [o, r, te, tr, i],
    lambda o, r, te, tr, i: o,
    lambda o, r, te, tr, i: None,
]
RESETS = [lambda o, i: o, lambda o, i: (o, None), lambda o, i: (o, i, 1), lambda o, i: None, lambda o, i: [o, i]]


class Fuzzed(gymnasium.Env):
    """Of drawn spaces, which returns what was drawn."""

    def __init__(self, observed, acted, info, reward, length, end, own_buffer, repeats, fault, reset):
        self.observation_space, self.action_space = observed, acted
        self.info, self.reward, self.length, self.end = info, reward, length, end
        self.own_buffer, self.repeats, self.fault, self.reset_fault = own_buffer, repeats, fault, reset
        self.buffer, self.left = None, 23

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        returned = self._observation(), self.info(self)
        return returned if self.reset_fault is None else self.reset_fault(*returned)

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.count += 1
        self.left -= 1
        is_last = self.count >= self.length
        ends = is_last and self.end != "truncated", is_last and self.end != "terminated"
        returned = self._observation(), self.reward(self), *ends, self.info(self)
        return self.fault(*returned) if self.fault is not None and self.left < 0 else returned

    def _observation(self):
        if self.repeats:
            self.observation_space.seed(int(self.np_random.integers(2**31)))
        x = self.observation_space.sample()
        if not self.own_buffer or not isinstance(x, np.ndarray):
            return x
        self.buffer = np.zeros_like(x) if self.buffer is None else self.buffer
        self.buffer[...] = x
        return self.buffer


@st.composite
def environments(draw):
    """What makes a `Fuzzed`, most of them without a fault."""
    has_fault = draw(st.sampled_from([False] * 12 + [True]))
    fault, reset = None, None
    if has_fault:
        fault = draw(st.sampled_from(FAULTS))
        reset = draw(st.sampled_from([None, None, *RESETS]))
    arguments = [
        draw(st.sampled_from(OBSERVED)),
        draw(st.sampled_from(ACTED)),
        draw(st.sampled_from(INFOS)),
        draw(st.sampled_from(REWARDS)),
        draw(st.sampled_from([1, 2, 2, 3, 5, 7, 20, 40])),
        draw(st.sampled_from(["terminated", "truncated", "both"])),
        draw(st.sampled_from([False] * 14 + [True])),
        draw(st.sampled_from([True] * 14 + [False])),
        fault,
        reset,
    ]
    return lambda: Fuzzed(*arguments)


WARNINGS = "Expects `(terminated|truncated)`|The reward"
TINY = {"num_envs": 2, "hidden_units": (4,), "seed": 0}
AGENTS = {
    "ppo": lambda env: PPO(env, n_steps=8, batch_size=16, n_epochs=1, normalize_observations=True, **TINY),
    "a2c": lambda env: A2C(env, n_steps=4, epoch_steps=16, normalize_rewards=True, **TINY),
    "reinforce": lambda env: REINFORCE(env, episodes=2, **TINY),
    "sac": lambda env: SAC(
        env,
        n_steps=4,
        epoch_steps=16,
        learning_starts=8,
        batch_size=4,
        buffer_size=64,
        gradient_steps=1,
        normalize_observations=True,  # or ReLUs diverge on integers up to 10^12
        **TINY,
    ),
    "es": lambda env: ES(
        env, popsize=2, searcher="snes", hidden_units=(4,), stdev_init=0.5, normalize_observations=True, seed=0
    ),
}


def verdict(make):
    """What Gymnasium's own check says, of an environment whose observations are of a fixed form.

    It raises for most of what is wrong, and only warns of flags and rewards of a wrong type.
    """
    env = make()
    with warnings.catch_warnings(record=True) as found, contextlib.suppress(Exception):
        warnings.simplefilter("always")
        env.left = 0  # so that the check sees the fault
        check_env(env, skip_render_check=True)
        if env.observation_space.is_np_flattenable:
            return "is warned of" if any(re.search(WARNINGS, str(x.message)) for x in found) else "passes check_env"
    return "fails check_env"


@contextlib.contextmanager
def at_most(seconds):
    def too_long(number, frame):
        raise TimeoutError(f"longer than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def live(make, name, folder):
    """Train, evaluate, save, load, evaluate and train on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # where episodes do not repeat
        agent = AGENTS[name](make)
        agent.learn(32, [Checkpoints(agent, folder)])
        assert len(agent.evaluate(2, seed=0).returns) == 2
        loaded = type(agent).load(folder, make)
        assert loaded.steps == agent.steps and len(loaded.evaluate(1, seed=0).returns) == 1
        loaded.learn(1)
        assert all(np.isfinite(x).all() for x in loaded.policy.get_weights())


def outcomes(count, folder):
    """How many of so many environments did what; raises where one does what it must not."""
    found = collections.Counter()

    @seed(count)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(environments(), st.sampled_from(list(AGENTS)))
    def check(make, name):
        space = make().action_space
        if (
            name == "sac"
            and not isinstance(space, Discrete)
            and not (isinstance(space, Box) and space.dtype.kind == "f")
        ):
            name = "ppo"
        says, ending = verdict(make), "trained, evaluated, resumed"
        with at_most(600), tempfile.TemporaryDirectory(dir=folder) as run:
            try:
                live(make, name, run)
            except WrongReturnError as error:
                assert says != "passes check_env", f"{error} of an environment that Gymnasium finds nothing wrong with"
                assert "\n" not in str(error) and "Received: " in str(error)
                assert "Fuzzed" in str(error) or "Environment 0" in str(error)
                ending = "one line"
        found[says, ending] += 1
        if found.total() % 50 == 0:
            print(found, flush=True)

    check()
    return found


@pytest.mark.exhaustive
def test_whatever_an_environment_is_it_trains_or_is_named(tmp_path, eagerly):
    found = outcomes(20, tmp_path)
    assert found.total() == 20


if __name__ == "__main__":
    tf.config.run_functions_eagerly(True)
    with tempfile.TemporaryDirectory() as scratch:
        for (gymnasium_says, ending), times in sorted(outcomes(int(sys.argv[1]), scratch).items()):
            print(f"{times} environments: {gymnasium_says}; {ending}")
