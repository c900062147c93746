"""What environments may return, and what they may not: nothing of it spoils a training."""

import collections
import decimal
import fractions
import types

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras import tree

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, ActionMask, Checkpoints, make_envs
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.checked_env import CheckedEnv, WrongReturnError
from kgdists.envs.play import evaluate
from kgdists.envs.rollout import Rollouts
from kgdists.evolution.policy_search.episodes import Episodes
from kgdists.evolution.policy_search.search import PolicySearch
from tests.agents.helpers import Noise, small

UNBOUNDED = Box(-np.inf, np.inf, (2,), "float32")


def always_zero(observations):
    return np.zeros(len(tree.flatten(observations)[0]), int)


def rollout(env, n_steps=8, num_envs=1, vectorization="sync"):
    envs = make_envs(env, num_envs, vectorization)
    try:
        return Rollouts(envs, n_steps, seed=0).collect(always_zero)
    finally:
        envs.close()


class Scripted(gymnasium.Env):
    """Returns what a function of the step of the episode says; `reset` returns what it says of step 0."""

    action_space = Discrete(2)

    def __init__(self, returned, space=UNBOUNDED):
        self.observation_space = space
        self.returned = returned

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.returned(self, 0)

    def step(self, action):
        self.count += 1
        return self.returned(self, self.count)


def good(env, t):
    observation = np.full(2, t, "float32")
    return (observation, {}) if t == 0 else (observation, 1.0, t == 3, False, {})


def with_step(change):
    """A `Scripted` whose second step of an episode returns something else."""
    return lambda: Scripted(lambda env, t: change(*good(env, t)) if t == 2 else good(env, t))


# Its own buffers: the final observation of an episode is not the first of the next


class OwnBuffer(gymnasium.Env):
    """Counts by hundreds of episodes, and hands out the same memory each time."""

    action_space = Discrete(2)

    def __init__(self, space, write, value, end="truncated"):
        self.observation_space, self.write, self.value, self.end = space, write, value, end
        self.buffer, self.episode = value(space), 0
        self.info = {"seen": self.buffer}
        self.reward = np.zeros(())

    def _observation(self):
        self.write(self.buffer, 100 * self.episode + self.count)
        return self.buffer

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.count = self.episode + 1, 0
        return self._observation(), self.info

    def step(self, action):
        self.count += 1
        self.reward[...] = self.count
        is_last = self.count == 3
        ends = (is_last and self.end == "terminated", is_last and self.end == "truncated")
        return self._observation(), self.reward, *ends, self.info


def fill(buffer, x):
    buffer[...] = x


def fill_dict(buffer, x):
    buffer["near"][...], buffer["far"][...] = x, x + 1


def box(dtype, shape):
    return Box(0, 30000, shape, dtype), fill, lambda space: np.zeros(shape, dtype)


PAIR = Dict(near=Box(0, 30000, (1,), "float32"), far=Box(0, 30000, (2,), "float64"))
BUFFERS = {
    "float32": box("float32", (2,)),
    "float64": box("float64", (1,)),
    "int64": box("int64", (2,)),
    "images": box("uint16", (2, 2, 3)),
    "one number": box("float32", ()),
    "float64 into a space of float32": (UNBOUNDED, fill, lambda space: np.zeros(2)),
    "a view": (UNBOUNDED, fill, lambda space: np.zeros((2, 2), "float32")[:, 1]),
    "a dict": (PAIR, fill_dict, lambda space: {"near": np.zeros(1, "float32"), "far": np.zeros(2)}),
    "an ordered dict": (
        PAIR,
        fill_dict,
        lambda space: collections.OrderedDict(near=np.zeros(1, "float32"), far=np.zeros(2)),
    ),
    "a tuple": (
        Tuple((UNBOUNDED, Box(0, 30000, (1,)))),
        lambda buffer, x: [fill(part, x) for part in buffer],
        lambda space: (np.zeros(2, "float32"), np.zeros(1, "float32")),
    ),
    "a list": (UNBOUNDED, lambda buffer, x: buffer.__setitem__(slice(None), [x, x]), lambda space: [0.0, 0.0]),
    "a number without axes": (Discrete(400), fill, lambda space: np.zeros((), int)),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_an_environment_may_return_its_own_buffer(name):
    space, write, value = BUFFERS[name]
    observations, _, rewards, following, _, truncated = rollout(lambda: OwnBuffer(space, write, value), 7)
    flat = [
        np.concatenate([leaf.reshape(7, -1) for leaf in tree.flatten(x)], axis=1) for x in (observations, following)
    ]
    first = int(flat[0][0, 0]) // 100 * 100
    np.testing.assert_array_equal(np.ravel(truncated), [False, False, True, False, False, True, False])
    np.testing.assert_array_equal(flat[1].min(axis=1) - first, np.array([1, 2, 3, 101, 102, 103, 201]))
    np.testing.assert_array_equal(flat[0].min(axis=1) - first, [0, 1, 2, 100, 101, 102, 200])
    np.testing.assert_array_equal(np.ravel(rewards), [1, 2, 3, 1, 2, 3, 1])


def own_buffer():
    return OwnBuffer(*BUFFERS["float32"])


def test_an_environment_may_return_its_own_buffer_in_a_process_of_its_own():
    for one, other in zip(rollout(own_buffer, 7, 3, "async"), rollout(own_buffer, 7, 3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_environments_of_a_given_vector_env_may_return_their_own_buffers():
    envs = SyncVectorEnv([own_buffer] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    np.testing.assert_array_equal(rollout(envs, 7)[3], rollout(own_buffer, 7, 2)[3])


def test_an_agent_leaves_the_checks_of_a_vector_env_that_another_had_as_they_are():
    envs = SyncVectorEnv([Noise] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert make_envs(envs, 2) is make_envs(envs, 2) is envs
    assert isinstance(envs.envs[0], CheckedEnv) and not isinstance(envs.envs[0].env, CheckedEnv)


def test_a_mask_in_a_buffer_of_the_environment_is_that_of_its_step():
    class Masked(OwnBuffer):
        def __init__(self):
            super().__init__(*BUFFERS["float32"])
            self.info = {"action_mask": np.ones(2, "int8")}

        def _observation(self):
            self.info["action_mask"][0] = self.count % 2
            return super()._observation()

    observations, _, _, following, *_ = rollout_masked(lambda: ActionMask(Masked()), 7)
    np.testing.assert_array_equal(observations["action_mask"][:, 0, 0], [0, 1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(following["action_mask"][:, 0, 0], [1, 0, 1, 1, 0, 1, 1])


def rollout_masked(env, n_steps):
    return Rollouts(make_envs(env, 1), n_steps).collect(lambda x: np.ones(1, "int32"))


# Numbers that are not finite


NAN, INF = float("nan"), float("inf")
WRONG_NUMBERS = {
    "a NaN observation": (lambda o, *rest: (np.array([0.0, NAN], "float32"), *rest), r"`observation` .*nan at \[1\]"),
    "an infinite one": (lambda o, *rest: (np.array([-INF, 0.0], "float32"), *rest), r"`observation` .*-inf at \[0\]"),
    "one of float64": (lambda o, *rest: (np.array([NAN, 0.0]), *rest), r"`observation` .*nan at \[0\]"),
    "one beyond float32": (lambda o, *rest: (np.array([0.0, 1e300]), *rest), r"`observation` .*inf at \[1\]"),
    "a list with NaN": (lambda o, *rest: ([0.0, NAN], *rest), r"`observation` .*nan at \[1\]"),
    "a NaN reward": (lambda o, r, *rest: (o, NAN, *rest), "reward must be finite.*nan"),
    "an infinite reward": (lambda o, r, *rest: (o, -INF, *rest), "reward must be finite.*-inf"),
    "a NaN of NumPy": (lambda o, r, *rest: (o, np.float32(NAN), *rest), "reward must be finite.*nan"),
    "a NaN without axes": (lambda o, r, *rest: (o, np.array(NAN), *rest), "reward must be finite.*nan"),
    "a reward beyond float32": (lambda o, r, *rest: (o, 1e300, *rest), r"reward must be finite.*1e\+300"),
    "a large int": (lambda o, r, *rest: (o, 2**70 * 10**30, *rest), "the reward must be"),
    "no reward": (lambda o, r, *rest: (o, None, *rest), "the reward must be one number. Received: None"),
    "several": (
        lambda o, r, *rest: (o, np.ones(2), *rest),
        r"one number, as a `gymnasium.RewardWrapper` makes of several",
    ),
}
AT = r"Environment 0 \(Scripted\), step 2 of its episode: "


@pytest.mark.parametrize("name", WRONG_NUMBERS)
def test_a_number_that_is_not_finite_is_named_where_it_comes_in(name):
    change, text = WRONG_NUMBERS[name]
    with pytest.raises(WrongReturnError, match=AT + f".*{text}"):
        rollout(with_step(change))


def test_the_key_of_a_number_that_is_not_finite_is_named():
    space = Dict(arm=Dict(angle=UNBOUNDED), tag=Discrete(3))
    env = Scripted(lambda env, t: ({"arm": {"angle": np.array([0.0, NAN], "float32")}, "tag": 1}, {}), space)
    with pytest.raises(WrongReturnError, match=r"step 0 .*`observation\['arm'\]\['angle'\]`.*nan at \[1\]"):
        rollout(lambda: env)
    env = Scripted(lambda env, t: ((1, np.array([NAN, 0.0], "float32")), {}), Tuple((Discrete(2), UNBOUNDED)))
    with pytest.raises(WrongReturnError, match=r"`observation\[1\]`.*nan at \[0\]"):
        rollout(lambda: env)


def test_the_environment_of_a_process_is_named():
    def make(i):
        return CheckedEnv(with_step(WRONG_NUMBERS["a NaN reward"][0])() if i == 2 else Scripted(good), i)

    envs = AsyncEnvs([lambda i=i: make(i) for i in range(3)], 2)
    try:
        with pytest.raises(WrongReturnError, match=r"Environment 2 \(Scripted\), step 2"):
            Rollouts(envs, 8).collect(always_zero)
    finally:
        envs.close()


class Failing(Noise):
    """Goes wrong once, at step `at` of all environments together."""

    def __init__(self, wrong, at):
        self.wrong, self.left = wrong, at

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        self.left -= 1
        if self.left == 0:
            return self.wrong(observation, reward, False, truncated, info)
        return observation, reward, terminated, truncated, info


FAILURES = (
    "a NaN observation",
    "an infinite one",
    "a NaN reward",
    "an infinite reward",
    "no reward",
    "a list with NaN",
)
TINY = {"num_envs": 2, "hidden_units": (4,), "seed": 0}
AGENTS = {
    "ppo": lambda env: small(env, normalize_observations=True, normalize_rewards=True),
    "a2c": lambda env: A2C(env, n_steps=4, epoch_steps=16, normalize_observations=True, **TINY),
    "reinforce": lambda env: REINFORCE(env, episodes=2, normalize_observations=True, **TINY),
    "sac": lambda env: SAC(
        env,
        n_steps=4,
        epoch_steps=16,
        learning_starts=24,
        batch_size=4,
        buffer_size=64,
        normalize_observations=True,
        **TINY,
    ),
    "es": lambda env: ES(
        env, searcher="snes", popsize=4, hidden_units=(4,), normalize_observations=True, seed=0, stdev_init=0.5
    ),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("agent", AGENTS)
def test_nothing_trained_is_lost_by_a_number_that_is_not_finite(agent, failure, tmp_path, eagerly):
    make, made = WRONG_NUMBERS[failure][0], []

    def env():
        made.append(Failing(make, 30))
        return made[-1]

    agent = AGENTS[agent](env)
    with pytest.raises(WrongReturnError, match=r"Environment \d \(Failing\), step \d+ of its episode"):
        agent.learn(10_000, [Checkpoints(agent, tmp_path)])
    assert agent.steps > 0 and agent.is_sound
    loaded = type(agent).load(tmp_path, Noise)
    assert loaded.steps == agent.steps
    for name, x in loaded.arrays().items():
        assert x.dtype.kind != "f" or np.isfinite(x).all(), name
    for one, other in zip(loaded.policy.get_weights(), agent.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 1e300])
def test_what_a_terminated_episode_ends_with_need_not_be_a_number(bad):
    def returned(env, t):
        observation, *rest = good(env, t)
        return np.array([1.0, bad]) if t == 3 else observation, *rest

    _, _, _, following, terminated, _ = rollout(lambda: Scripted(returned), 6)
    np.testing.assert_array_equal(following[terminated], [[1.0, 0.0], [1.0, 0.0]])


def test_what_a_truncated_episode_ends_with_must_be_a_number():
    def returned(env, t):
        observation, *rest = good(env, t)
        return (np.array([1.0, NAN]), 1.0, False, True, {}) if t == 3 else (observation, *rest)

    with pytest.raises(WrongReturnError, match=r"step 3 .*`observation` must be finite"):
        rollout(lambda: Scripted(returned))


@pytest.mark.exhaustive
@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_learns_where_terminated_episodes_end_with_nan(agent, eagerly):
    class Ends(Noise):
        def step(self, action):
            observation, reward, terminated, truncated, info = super().step(action)
            return np.full(2, NAN, "float32") if terminated else observation, reward, terminated, truncated, info

    agent = AGENTS[agent](Ends)
    agent.learn(64)
    assert all(np.isfinite(x).all() for x in agent.policy.get_weights())


@pytest.mark.exhaustive
def test_a_floating_point_error_of_an_environment_is_no_divergence(tmp_path, eagerly):
    class Strict(Failing):
        def step(self, action):
            with np.errstate(all="raise"):
                return super().step(action)

    agent = small(lambda: Strict(lambda *x: np.float32(1e38) * np.float32(1e38), 12))
    with pytest.raises(WrongReturnError, match="must not raise a FloatingPointError. .*overflow"):
        agent.learn(64, [Checkpoints(agent, tmp_path)])
    assert PPO.load(tmp_path, Noise).steps == 16


class Program(gymnasium.vector.VectorEnv):
    """A vector environment that is one program, and goes wrong at the third step."""

    single_observation_space, single_action_space, num_envs = UNBOUNDED, Discrete(2), 2
    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, observations=None, rewards=None):
        self.wrong = observations, rewards

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.zeros((2, 2), "float32"), {}

    def step(self, actions):
        self.count += 1
        observations, rewards = np.zeros((2, 2), "float32"), np.zeros(2)
        if self.count == 3:
            observations = observations if self.wrong[0] is None else self.wrong[0]
            rewards = rewards if self.wrong[1] is None else self.wrong[1]
        return observations, rewards, np.zeros(2, bool), np.zeros(2, bool), {}


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"observations": np.array([[0, 0], [NAN, 0]], "float32")}, "Environment 1 of Program: `observation`"),
        ({"observations": np.array([[0, INF], [0, 0]], "float32")}, "Environment 0 of Program: `observation`"),
        (
            {"observations": np.zeros((2, 3), "float32")},
            r"Program: `observation` must be an array of numbers of shape \(2, 2\)",
        ),
        ({"rewards": np.array([0.0, NAN])}, "Environment 1 of Program: `reward`"),
        ({"rewards": np.zeros((2, 1))}, r"Program: rewards must be numbers of shape \(2,\)"),
        ({"rewards": np.array([None, 1.0])}, "Program: rewards must be numbers"),
    ],
)
def test_a_vector_env_that_is_one_program_is_looked_at_too(wrong, text):
    with pytest.raises(WrongReturnError, match=text):
        rollout(Program(**wrong))
    with pytest.raises(WrongReturnError, match=text):
        evaluate(Program(**wrong), always_zero, 2)


class Odd(Program):
    """Returns something of another form than a `VectorEnv` does, always the same."""

    def __init__(self, change_step=lambda *x: x, change_reset=lambda *x: x):
        super().__init__()
        self.change_step, self.change_reset = change_step, change_reset

    def reset(self, **options):
        return self.change_reset(*super().reset(**options))

    def step(self, actions):
        return self.change_step(*super().step(actions))


ENDS = np.array([False, True])
SAME = {
    "lists": lambda o, r, te, tr, i: (o.tolist(), r.tolist(), te.tolist(), tr.tolist(), i),
    "tensors": lambda o, r, te, tr, i: (tf.constant(o), tf.constant(r), te, tr, i),
    "integers": lambda o, r, te, tr, i: (o.astype(int), r.astype(int), te.astype(int), tr.astype("uint8"), i),
    "float flags": lambda o, r, te, tr, i: (o, r, te.astype("float32"), tr.astype(float), i),
    "flags of objects that are bools": lambda o, r, te, tr, i: (o, r, [np.bool_(x) for x in te], tr, i),
    "a list of five": lambda *x: [*x],
    "no infos": lambda o, r, te, tr, i: (o, r, te, tr, None),
    "integers that end": lambda o, r, te, tr, i: (o, r, ENDS.astype(int), tr.astype(int), {"final_obs": o.tolist()}),
}
WRONG = {
    "four values": (lambda o, r, te, tr, i: (o, r, te, i), "`step` must return a tuple"),
    "nothing": (lambda *x: None, "`step` must return a tuple"),
    "a flag for all": (lambda o, r, te, tr, i: (o, r, False, tr, i), "`terminated` must be bools of shape"),
    "a column of flags": (lambda o, r, te, tr, i: (o, r, te, tr[:, None], i), "`truncated` must be bools of shape"),
    "flags of objects": (lambda o, r, te, tr, i: (o, r, np.array([None, 1]), tr, i), "`terminated` must be bools"),
    "a flag of 2": (lambda o, r, te, tr, i: (o, r, te + 2, tr, i), "`terminated` must be bools"),
    "a word": (lambda o, r, te, tr, i: ("word", r, te, tr, i), "`observation` must be an array of numbers"),
    "no final observations": (lambda o, r, te, tr, i: (o, r, ENDS, tr, None), "`final_obs`"),
    "one final row": (lambda o, r, te, tr, i: (o, r, ENDS, tr, {"final_obs": o[0]}), "`final_obs` .* must hold"),
    "a final number": (lambda o, r, te, tr, i: (o, r, ENDS, tr, {"final_obs": 0.0}), "`final_obs` .* must hold"),
    "a final shape": (
        lambda o, r, te, tr, i: (o, r, ENDS, tr, {"final_obs": o[:, :, None]}),
        "`final_obs` .* must hold",
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_vector_env_of_one_s_own_may_return_what_means_the_same(change):
    experience = rollout(Odd(change))
    assert experience[0].dtype == "float32" and experience[4].dtype == experience[5].dtype == bool
    assert evaluate(Odd(change), always_zero, 2, max_steps=3).returns in ((0.0, 0.0),)


@pytest.mark.parametrize(("change", "text"), WRONG.values(), ids=WRONG)
def test_what_a_vector_env_of_one_s_own_must_not_return_is_one_line(change, text):
    with pytest.raises(WrongReturnError, match=text) as caught:
        rollout(Odd(change))
    assert "\n" not in str(caught.value) and " Received: " in str(caught.value)
    if "final" not in text:
        with pytest.raises(WrongReturnError, match=text):
            evaluate(Odd(change), always_zero, 2)


@pytest.mark.parametrize("change", [lambda o, i: o, lambda o, i: (o, i, i), lambda o, i: None, lambda o, i: [o, i]])
def test_what_the_reset_of_a_vector_env_must_not_return_is_one_line(change):
    with pytest.raises(WrongReturnError, match="Odd: `reset` must return a tuple"):
        rollout(Odd(change_reset=change))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_search_may_end_episodes_with_nan_where_environments_reset_a_step_later(eagerly, mode):
    class Ends(Program):
        metadata = {"autoreset_mode": mode}

        def step(self, actions):
            observations, rewards, terminated, truncated, infos = super().step(actions)
            return np.full_like(observations, NAN), rewards + 1.0, ~terminated, truncated, infos

    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), kg.layers.CategoricalHead(2))
    search = PolicySearch(policy, Ends(), "snes", popsize=2, stdev_init=0.5, seed=0)
    if mode == AutoresetMode.NEXT_STEP:
        assert search.learn(1).history["return"] == [1.0]
    else:  # these are what the next episodes start with
        with pytest.raises(WrongReturnError, match="must be finite"):
            search.learn(1)


def test_flags_of_integers_end_the_episodes_of_a_search(eagerly):
    class Three(Program):
        def step(self, actions):
            observations, _, _, truncated, infos = super().step(actions)
            return observations, np.ones(2), np.full(2, int(self.count % 3 == 0)), truncated.astype(int), infos

    search = ES(Three(), searcher="snes", popsize=2, stdev_init=0.5, hidden_units=(4,), seed=0)
    assert search.learn(1).history["return"] == [3.0]


def test_a_vector_env_without_final_observations_is_named():
    class Ending(Program):
        def step(self, actions):
            observations, rewards, _, truncated, info = super().step(actions)
            return observations, rewards, np.ones(2, bool), truncated, info

    with pytest.raises(WrongReturnError, match="`final_obs`. Received: "):
        rollout(Ending())


def test_the_population_of_a_search_is_looked_at_in_a_vector_env(eagerly):
    search = ES(Program(rewards=np.array([NAN, 0.0])), popsize=2, hidden_units=(4,), seed=0)
    with pytest.raises(WrongReturnError, match="Environment 0 of Program: `reward`"):
        search.learn(1)


# What is returned


WRONG_STEPS = {
    "four values": (lambda o, r, te, tr, i: (o, r, te, i), r"must return a tuple \(obs.*Received: 4 values"),
    "six values": (lambda *x: (*x, {}), "Received: 6 values"),
    "None": (lambda *x: None, "`step` must return a tuple .*Received: None"),
    "one array": (lambda o, *rest: o, r"`step` must return a tuple .*Received: array"),
    "reward of shape (1,)": (
        lambda o, r, *rest: (o, np.ones(1), *rest),
        r"reward must be one number. .*array\(\[1.\]\)",
    ),
    "a vector of rewards": (lambda o, r, *rest: (o, np.ones(3), *rest), "reward must be one number"),
    "a list of rewards": (lambda o, r, *rest: (o, [1.0], *rest), r"reward must be one number. Received: \[1.0\]"),
    "a dict of rewards": (lambda o, r, *rest: (o, {"a": 1.0}, *rest), "reward must be one number"),
    "a reward in words": (lambda o, r, *rest: (o, "1.0", *rest), "reward must be one number. Received: '1.0'"),
    "a complex reward": (lambda o, r, *rest: (o, 1j, *rest), "reward must be one number"),
    "another shape": (
        lambda o, *rest: (np.zeros(3, "float32"), *rest),
        r"shape of its space, \(2,\). Received: shape \(3,\)",
    ),
    "another number of axes": (lambda o, *rest: (np.zeros((1, 2), "float32"), *rest), r"shape \(1, 2\)"),
    "ragged lists": (lambda o, *rest: ([[1.0], [1.0, 2.0]], *rest), "must be an array of numbers"),
    "no observation": (lambda o, *rest: (None, *rest), "`observation` must be an array of numbers. Received: None"),
    "words": (lambda o, *rest: (np.array(["a", "b"]), *rest), "`observation` must be an array of numbers"),
    "a dict": (lambda o, *rest: ({"x": o}, *rest), "`observation` must be an array of numbers"),
    "terminated is None": (lambda o, r, te, *rest: (o, r, None, *rest), "`terminated` must be a bool. Received: None"),
    "terminated is 2": (lambda o, r, te, *rest: (o, r, 2, *rest), "`terminated` must be a bool. Received: 2"),
    "a list of ends": (lambda o, r, te, *rest: (o, r, [True], *rest), "`terminated` must be a bool"),
    "truncated in words": (lambda o, r, te, tr, i: (o, r, te, "no", i), "`truncated` must be a bool"),
}


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_what_a_step_must_not_return_is_one_line(name):
    change, text = WRONG_STEPS[name]
    with pytest.raises(WrongReturnError, match=AT + f".*{text}") as caught:
        rollout(with_step(change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "returned",
    [np.zeros(2, "float32"), None, {}, (np.zeros(2, "float32"),), [np.zeros(2, "float32"), {}], ([0.0, 0.0], {}, 3)],
    ids=["without info", "nothing", "an info alone", "one value", "a list", "three values"],
)
def test_what_a_reset_must_not_return_is_one_line(returned):
    text = r"Environment 0 \(Scripted\), step 0 of its episode: `reset` must return a tuple \(observation, info\)"
    with pytest.raises(WrongReturnError, match=text):
        rollout(lambda: Scripted(lambda env, t: returned))


def started(self, **options):
    return np.zeros(2, "float32"), {}


SIGNATURES = {
    "no seed, no options": ("reset", lambda self: started(self)),
    "no options": ("reset", lambda self, seed=None: started(self)),
    "no seed": ("reset", lambda self, options=None: started(self)),
    "any positions": ("reset", lambda self, *seeds: started(self)),
    "a level": ("reset", lambda self, level, *, seed=None, options=None: started(self)),
    "positions only": ("reset", lambda self, seed=None, options=None, /: started(self)),
    "two actions": ("step", lambda self, action, other: started(self)),
    "no action": ("step", lambda self: started(self)),
    "a keyword": ("step", lambda self, *, action: started(self)),
}


@pytest.mark.parametrize(("method", "function"), SIGNATURES.values(), ids=SIGNATURES)
def test_a_method_that_does_not_take_what_is_passed_to_it_is_one_line(method, function):
    cls = type("Old", (Noise,), {method: function})
    for make in (make_envs, Episodes):
        with pytest.raises(
            WrongReturnError, match=rf"Old: `{method}` must be .*Received: {method}\(.* of Old, "
        ) as caught:
            make(cls, 1)
        assert "\n" not in str(caught.value)


def test_further_parameters_of_reset_and_step_may_have_defaults():
    reset = lambda self, seed=None, options=None, level=3, **others: started(self)  # noqa: E731
    cls = type(
        "Rich", (Noise,), {"reset": reset, "step": lambda self, action, repeat=1: (*started(self)[:1], 0.0, 0, 0, {})}
    )
    assert rollout(cls)[2].sum() == 0.0


@pytest.mark.parametrize("name", ["observation_space", "action_space"])
@pytest.mark.parametrize("space", [None, 3, UNBOUNDED.shape])
def test_an_environment_without_a_space_is_one_line(name, space):
    cls = type("Bare", (Noise,), {name: space})
    with pytest.raises(WrongReturnError, match=f"Bare must have a `{name}`, a space of `gymnasium.spaces`"):
        make_envs(cls, 1)


def test_what_is_no_environment_is_one_line():
    with pytest.raises(WrongReturnError, match="must be a gymnasium.Env. Received: 3"):
        make_envs(lambda: 3, 1)


def test_words_are_observed_as_numbers():
    space = Dict(x=UNBOUNDED, mission=Text(5))
    env = Scripted(lambda env, t: ({"x": [1.0, 2.0], "mission": "go"}, *good(env, t)[1:]), space)
    observations = rollout(lambda: env)[0]
    assert observations["x"].shape == (8, 1, 2) and observations["mission"][0, 0].tolist() == [103, 111, 0, 0, 0]


class Own(gymnasium.Space):
    """A space that Gymnasium does not know."""


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (gymnasium.spaces.Graph(UNBOUNDED, None), "A Graph has no encoder.*encode_observation.register"),
        (Own(), "Observations of a Own are no arrays.*encode_observation.register"),
        (Dict(action_mask=Box(0, 1, (2,), "int8")), "It must observe numbers"),
    ],
)
def test_spaces_that_no_network_can_observe_are_one_line(space, text):
    with pytest.raises(WrongReturnError, match=f"Environment 0 .*{text}.* Received: "):
        make_envs(lambda: Scripted(good, space), 1)


IN_SPACES = [
    (Discrete(3), 3, "must be in Discrete"),
    (Discrete(3), -1, "must be in Discrete"),
    (Discrete(3), 1.0, "must be in Discrete"),
    (Discrete(3), np.array([1]), "must be in Discrete"),
    (MultiDiscrete([2, 3]), [1, 3], "must be in MultiDiscrete"),
    (MultiDiscrete([2, 3]), [0.5, 1], "dtype of its space, int64"),
    (MultiBinary(2), [1, 2], "must be in MultiBinary"),
    (Box(0, 255, (2,), "uint8"), [-1, 3], "dtype of its space, uint8"),
    (Box(0, 255, (2,), "uint8"), [0.5, 3.0], "dtype of its space, uint8"),
    (Box(0, 255, (2,), "uint8"), [NAN, 3.0], "dtype of its space, uint8"),
    (Dict(a=UNBOUNDED, b=Discrete(2)), {"a": [0.0, 0.0]}, "must have the key 'b'. Received: a dict with .'a'."),
    (Dict(a=UNBOUNDED), [[0.0, 0.0]], "must be a dict with"),
    (Dict(a=Dict(b=Discrete(2))), {"a": {"b": 2}}, r"`observation\['a'\]\['b'\]` must be in Discrete"),
    (Tuple((Discrete(2), Discrete(2))), (1,), "must be a tuple of 2"),
    (Tuple((Discrete(2), Discrete(2))), 1, "must be a tuple of 2"),
]


@pytest.mark.parametrize("space, value, text", IN_SPACES, ids=lambda x: str(x)[:30])
def test_observations_outside_of_their_space_are_one_line(space, value, text):
    with pytest.raises(WrongReturnError, match=f"step 0 of its episode: .*{text}"):
        rollout(lambda: Scripted(lambda env, t: (value, {}), space))


HARMLESS = {
    "a list": lambda o, *rest: ([2.0, 2.0], *rest),
    "float64": lambda o, *rest: (o.astype("float64"), *rest),
    "float16": lambda o, *rest: (o.astype("float16"), *rest),
    "ints": lambda o, *rest: (o.astype("int64"), *rest),
    "a tensor": lambda o, *rest: (tf.constant(o), *rest),
    "a reward of NumPy": lambda o, r, *rest: (o, np.float32(1.0), *rest),
    "an int as reward": lambda o, r, *rest: (o, 1, *rest),
    "a bool as reward": lambda o, r, *rest: (o, True, *rest),
    "a reward without axes": lambda o, r, *rest: (o, np.array(1.0), *rest),
    "a fraction as reward": lambda o, r, *rest: (o, fractions.Fraction(1), *rest),
    "a decimal as reward": lambda o, r, *rest: (o, decimal.Decimal(1), *rest),
    "a tensor as reward": lambda o, r, *rest: (o, tf.constant(1.0), *rest),
    "ends of NumPy": lambda o, r, te, tr, i: (o, r, np.bool_(False), np.array(False), i),
    "ends as ints": lambda o, r, te, tr, i: (o, r, 0, 0, i),
    "a list of five": lambda *x: list(x),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_means_the_same_is_taken(name):
    for x, y in zip(rollout(with_step(HARMLESS[name])), rollout(lambda: Scripted(good)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_keys_that_the_space_has_not_are_left_out():
    space = Dict(a=UNBOUNDED)
    observations, *_ = rollout(lambda: Scripted(extra, space), 2)
    assert {name: x.shape for name, x in observations.items()} == {"a": (2, 1, 2)}


def extra(env, t):
    _, *rest = good(env, t)
    return {"a": [1.0, 2.0], "more": None}, *rest


# Infos


class Unpicklable:
    def __reduce__(self):
        raise TypeError("stays where it is")


def changing(t):
    return np.zeros(t % 3 + 1)


INFOS = {
    "None": lambda t: {"x": None},
    "None at times": lambda t: {"x": None if t % 2 else 1.0},
    "arrays whose length changes": lambda t: {"x": changing(t)},
    "another type at the end": lambda t: {"x": "done" if t == 3 else 1},
    "a large int": lambda t: {"x": 2**70 if t == 2 else 1},
    "an array, then a number": lambda t: {"x": np.zeros(3) if t < 2 else 1.0},
    "a dict, then a number": lambda t: {"x": {"y": 1} if t < 2 else 1.0},
    "a number, then a dict": lambda t: {"x": {"y": 1} if t > 1 else 1.0},
    "objects": lambda t: {"x": Unpicklable()},
    "functions": lambda t: {"x": lambda: None},
    "a generator": lambda t: {"x": (i for i in range(3))},
    "keys that are no strings": lambda t: {3: 4, None: 5, (1, 2): 6},
    "names of Gymnasium's": lambda t: {"final_obs": 3, "final_info": "x", "_final_obs": None, "episode": []},
    "lists and sets": lambda t: {"x": [1] * t, "y": {t}},
    "no dict": lambda t: None,
    "a list": lambda t: [],
    "a mapping": lambda t: types.MappingProxyType({"x": 1}),
    "images": lambda t: {"x": np.zeros((t + 1, 2, 3), "uint8")},
}


def informed(info):
    def returned(env, t):
        return *good(env, t)[:-1], info(t)

    return lambda: Scripted(returned)


@pytest.mark.parametrize("name", INFOS)
def test_what_is_not_read_of_an_info_cannot_end_a_training(name):
    env, plain = informed(INFOS[name]), rollout(lambda: Scripted(good), 7, 2)
    given = SyncVectorEnv([env] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    for got in (rollout(env, 7, 2), rollout(given, 7)):
        for x, y in zip(got, plain, strict=True):
            np.testing.assert_array_equal(x, y)
    assert evaluate(make_envs(env, 2), always_zero, 4).lengths == (3,) * 4


@pytest.mark.few(2)
@pytest.mark.parametrize("name", INFOS)
def test_what_is_not_read_of_an_info_cannot_end_a_training_in_processes(name):
    for x, y in zip(rollout(informed(INFOS[name]), 7, 2, "async"), rollout(lambda: Scripted(good), 7, 2), strict=True):
        np.testing.assert_array_equal(x, y)


def test_all_infos_at_once_do_not_end_a_search(eagerly):
    def info(t):
        return {str(name): list(INFOS.values())[i](t) for i, name in enumerate(INFOS)}

    search = ES(informed(info), popsize=2, hidden_units=(4,), seed=0)
    search.learn(1)
    assert search.evaluate(2).lengths == (3, 3)
