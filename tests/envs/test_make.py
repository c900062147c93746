"""Environments side by side: whatever steps them, the data are those of each of them alone."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, OneOf, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import iterate
from keras import tree

from kgdists.agents import PPO, ActionMask, SameStep, make_envs
from kgdists.envs.array_observations import Encoding
from kgdists.envs.async_envs import AsyncEnvs
from kgdists.envs.rollout import Rollouts
from kgdists.envs.same_step import restart
from tests.agents.helpers import Counter, Noise, Trap, counters, small, weights


def always_zero(observations):
    return tf.zeros(len(tree.flatten(observations)[0]), "int32")


def rollout(envs, n_steps, seed=None, act=always_zero):
    return Rollouts(envs, n_steps, seed).collect(act)


def counted(*lengths, **options):
    """A rollout of one `Counter` per length."""
    return rollout(make_envs(counters(*lengths, **options), len(lengths)), 10)


def assert_same(one, other):
    for x, y in zip(tree.flatten(one), tree.flatten(other), strict=True):
        if getattr(x, "dtype", None) == object:
            assert_same(list(x), list(y))
        else:
            np.testing.assert_array_equal(x, y)


# Which environments


def vector_env(mode, **options):
    return SyncVectorEnv([lambda: Counter(3), lambda: Counter(4)], autoreset_mode=mode, **options)


def test_a_vector_env_without_autoreset_is_made_same_step():
    envs = make_envs(vector_env(AutoresetMode.DISABLED), 2)
    assert isinstance(envs, SameStep)
    assert_same(rollout(envs, 10), counted(3, 4))


def test_gymnasium_s_own_vector_env_is_made_same_step():
    assert isinstance(make_envs(gymnasium.make_vec("CartPole-v1", num_envs=2), 2), SameStep)


def test_a_vector_env_with_same_step_autoreset_is_taken_as_it_is():
    envs = vector_env(AutoresetMode.SAME_STEP)
    assert make_envs(envs, 8) is envs
    assert_same(rollout(envs, 10), counted(3, 4))


def test_a_vector_env_may_hand_out_its_own_buffers():
    envs = vector_env(AutoresetMode.SAME_STEP, copy=False)
    assert_same(rollout(envs, 10), counted(3, 4))


def test_an_id_gives_that_many_environments():
    envs = make_envs("CartPole-v1", 3)
    assert envs.num_envs == 3 and envs.single_action_space == Discrete(2)
    assert rollout(envs, 5, seed=0)[0].shape == (5, 3, 4)


def test_an_unknown_id_is_gymnasium_s_error():
    with pytest.raises(gymnasium.error.NameNotFound, match="NoSuchEnv"):
        make_envs("NoSuchEnv-v0", 1)


def test_one_environment_itself_is_the_only_one():
    assert_same(rollout(make_envs(Counter(3), 1), 10), counted(3))
    with pytest.raises(ValueError, match="`num_envs` must be 1 with one environment itself.* Received: num_envs=2"):
        make_envs(Counter(), 2)
    with pytest.raises(ValueError, match='stepped as it is, by `vectorization="auto"` or "sync". Received: .*async'):
        make_envs(Counter(), 1, "async")


@pytest.mark.parametrize("env", [None, 3, ["CartPole-v1"]], ids=str)
def test_what_is_no_environment_is_refused(env):
    with pytest.raises(ValueError, match="`env` must be .* Received: "):
        make_envs(env, 1)


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, "2", None], ids=repr)
def test_a_wrong_number_of_environments_is_refused(num_envs):
    with pytest.raises(ValueError, match="`num_envs` must be an int >= 1. Received: num_envs="):
        make_envs(Counter, num_envs)


# Observations


class Observed(Counter):
    """A `Counter` with observations of another space, seeded with the count."""

    def __init__(self, space):
        super().__init__(length=3)
        self.observation_space = space

    def _observation(self):
        self.observation_space.seed(self.count)
        return self.observation_space.sample()


SPACES = {
    "discrete": Discrete(5, start=2),
    "multi_binary": MultiBinary(3),
    "dict": Dict(near=Box(-1.0, 1.0, (2,)), far=Discrete(3)),
    "tuple": Tuple((Discrete(2), Box(-1.0, 1.0, (2, 2)))),
}


@pytest.mark.parametrize("is_flat", [False, True], ids=["as they are", "flat"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_observations_of_other_spaces_come_as_they_are_or_flattened(space, is_flat):
    encoding = Encoding(is_flat=is_flat)
    envs = make_envs(lambda: Observed(space), 1, encoding=encoding)
    observations, _, _, next_observations, *_ = rollout(envs, 3)
    env = Observed(space)
    wanted = [env.reset()[0], *(env.step(0)[0] for _ in range(3))]
    wanted = [gymnasium.spaces.flatten(space, x) if is_flat else x for x in wanted]
    for rows, of_rows in ((observations, wanted[:3]), (next_observations, wanted[1:])):
        tree.map_structure(lambda x, *each: np.testing.assert_allclose(x[:, 0], np.stack(each)), rows, *of_rows)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_observations_keep_their_dtype_but_for_double_precision(dtype):
    space = Box(0, 200, (2, 3), dtype)
    observations, _, _, next_observations, *_ = rollout(make_envs(lambda: Observed(space), 2), 4)
    assert observations.dtype == next_observations.dtype == ("float32" if dtype == "float64" else dtype)
    space.seed(0)
    np.testing.assert_allclose(observations[0, 0], space.sample(), rtol=1e-6)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_vector_env_may_observe_anything(space):
    envs = SyncVectorEnv([lambda: Observed(space)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert_same(rollout(make_envs(envs, 2), 7), rollout(make_envs(lambda: Observed(space), 2), 7))


# In processes


@pytest.fixture
def make_async():
    """Make `AsyncEnvs` of one function or several, that are closed in the end."""
    made = []

    def make(makers, num_envs=5, num_workers=2):
        makers = [makers] * num_envs if callable(makers) else makers
        made.append(AsyncEnvs(makers, num_workers))
        return made[-1]

    yield make
    for envs in made:
        envs.close()


class Informed(Noise):
    """A `Noise` whose infos are of many kinds, and not always there."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        info = {"reward": reward, "parts": {"x": observation}, "text": "a"} if observation[0] > 0.0 else {}
        return observation, reward, terminated, truncated, info


def with_finals(returned):
    """What `step` returned, with final observations for all infos."""
    *numbers, info = returned
    return *numbers, {name: x for name, x in info.items() if name.endswith("final_obs")}


def test_environments_in_processes_give_the_very_numbers_of_one_process(make_async):
    one, other = SyncVectorEnv([Informed] * 5, autoreset_mode=AutoresetMode.SAME_STEP), make_async(Informed)
    for seed in (3, [5, 1, 2, 2, 0], None):
        assert_same(one.reset(seed=seed), other.reset(seed=seed))
        for _ in range(20):
            assert_same(*(with_finals(envs.step(np.zeros(5, int))) for envs in (one, other)))


@pytest.mark.parametrize("where", ["observation", "info"])
def test_masks_in_processes_are_those_of_one_process(where, make_async):
    maker = TrapMaker(where)
    one = rollout(make_envs(maker, 3), 20, seed=0)
    assert_same(one, rollout(make_async(make_envs(maker, 3).env_fns), 20, seed=0))


class TrapMaker:
    """Makes a `Trap`, with its mask where agents look for it."""

    def __init__(self, where):
        self.where = where

    def __call__(self):
        trap = Trap(self.where)
        return ActionMask(trap) if self.where == "info" else trap


def test_nested_actions_reach_the_processes_of_their_environments(make_async):
    space = Dict(a=Tuple((Discrete(7), Box(-1.0, 1.0, (2,)))), b=OneOf((Discrete(9), Discrete(5))))
    envs = make_async(lambda: Counter(action_space=space), 4)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = envs.action_space.sample()
    envs.step(actions)
    for got, expected in zip(envs.get_attr("actions"), iterate(envs.action_space, actions), strict=True):
        assert_same(got[0], expected)


@pytest.mark.exhaustive
def test_an_agent_learns_the_same_of_environments_in_processes(eagerly):
    one, other = small(), small(vectorization="async")
    assert isinstance(other.envs, AsyncEnvs)
    for agent in (one, other):
        agent.learn(48)
        agent.envs.close()
    np.testing.assert_array_equal(weights(one), weights(other))


@pytest.mark.exhaustive
def test_an_agent_goes_on_in_the_middle_of_episodes_in_processes(eagerly, tmp_path):
    agent = small(vectorization="async")
    agent.learn(16)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path, Noise)
    assert isinstance(loaded.envs, AsyncEnvs)
    assert_same(loaded.rollouts.observations, agent.rollouts.observations)
    for each in (agent, loaded):
        each.learn(32)
        each.envs.close()
    np.testing.assert_array_equal(weights(loaded), weights(agent))
    assert loaded.rollouts.recent_lengths == agent.rollouts.recent_lengths


def test_each_environment_has_its_own_attributes_and_methods(make_async):
    envs = make_async(Counter)
    envs.reset(seed=0)
    envs.set_attr("length", [1, 2, 3, 4, 5])
    assert envs.get_attr("length") == (1, 2, 3, 4, 5)
    for _ in range(12):
        envs.step(np.zeros(5, int))
    assert envs.get_attr("episode") == (13, 7, 5, 4, 3)
    envs.set_attr("length", 7)
    assert envs.call("has_wrapper_attr", "length") == (True,) * 5 and envs.get_attr("length") == (7,) * 5


class Fails(Noise):
    """Raises an exception that can or cannot be sent from one process to another."""

    error = None

    def step(self, action):
        if self.error == "local":

            class LocalError(Exception):
                pass

            raise LocalError("of its own kind")
        if self.error is not None:
            raise ZeroDivisionError(self.error)
        return super().step(action)


def test_what_an_environment_raises_in_a_process_is_raised_here(make_async):
    envs = make_async(Fails)
    envs.reset(seed=0)
    envs.set_attr("error", [None, None, None, "by nothing", None])
    with pytest.raises(ZeroDivisionError, match="^by nothing$") as raised:
        envs.step(np.zeros(5, int))
    assert "environments 2 to 4:\nTraceback" in str(raised.value.__cause__) and "Fails" not in str(raised.value)
    assert "raise ZeroDivisionError(self.error)" in str(raised.value.__cause__)
    envs.set_attr("error", "local")
    with pytest.raises(RuntimeError, match="^LocalError: of its own kind$"):
        envs.step(np.zeros(5, int))
    envs.set_attr("error", None)
    envs.step(np.zeros(5, int))  # the processes are still there


def test_what_making_an_environment_raises_is_raised_here(make_async):
    here = os.getpid()

    def make():
        if os.getpid() != here:
            raise OSError("only here")
        return Noise()

    with pytest.raises(OSError, match="only here"):
        make_async(make)


def test_environments_of_different_spaces_are_refused(make_async):
    with pytest.raises(ValueError, match=r"must have the same spaces, .*Discrete\(2\). Received: .*Discrete\(3\)"):
        make_async([lambda i=i: Counter(action_space=Discrete(i)) for i in (2, 3)])


def test_the_end_of_a_process_is_told_and_ends_the_others(make_async):
    envs = make_async(Noise)
    envs.reset(seed=0)
    processes = list(envs._processes)
    pids = [process.pid for process in processes]
    processes[1].kill()
    with pytest.raises(RuntimeError, match="The process of environments 2 to 4 has ended, exit code -9"):
        for _ in range(100):  # it may have answered once more
            envs.step(np.zeros(5, int))
    assert not any(map(is_running, pids))
    with pytest.raises(ValueError, match="These environments are closed: make new ones"):
        envs.step(np.zeros(5, int))


def test_closed_environments_leave_no_processes(make_async):
    envs = make_async(Noise)
    pids = [process.pid for process in envs._processes]
    assert len(pids) == 2 and all(map(is_running, pids))
    envs.close()
    envs.close()
    assert not any(map(is_running, pids))


class Refusing:
    """Pickles, or unpickles, only at times."""

    def __init__(self, when):
        self.when = when

    def __reduce__(self):
        if self.when == "pickled":
            raise TypeError("no copies of it")
        return _refuse, ()


def _refuse():
    raise TypeError("no copies of it")


@pytest.mark.parametrize("value", [lambda: 1, Refusing("pickled"), Refusing("unpickled"), (x for x in "ab")])
def test_processes_stay_in_step_after_what_does_not_pickle(value, make_async):
    envs = make_async(Counter)
    envs.reset(seed=0)
    for values in (value, [3, 3, 3, 3, value]):
        with pytest.raises((TypeError, ValueError), match="pickle|no copies"):
            envs.set_attr("length", values)
    envs.set_attr("length", [1, 2, 3, 4, 5])
    assert envs.get_attr("length") == (1, 2, 3, 4, 5)
    assert envs.get_attr("end") == ("terminated",) * 5


@pytest.mark.parametrize("when", ["pickled", "unpickled"])
def test_processes_stay_in_step_after_an_answer_that_does_not_pickle(when, make_async):
    class Odd(Counter):
        def odd(self):
            return Refusing(when) if self.length == 7 else lambda: 1

    envs = make_async(Odd)
    envs.reset(seed=0)
    envs.set_attr("length", [1, 2, 3, 4, 7])
    with pytest.raises((TypeError, ValueError), match="pickle|no copies"):
        envs.call("odd")
    assert envs.get_attr("length") == (1, 2, 3, 4, 7)


def test_processes_leave_signals_to_the_one_that_steps(make_async):
    envs = make_async(Noise)
    envs.reset(seed=0)
    for process in envs._processes:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
    time.sleep(0.1)
    expected = SyncVectorEnv([Noise] * 5, autoreset_mode=AutoresetMode.SAME_STEP)
    expected.reset(seed=0)
    np.testing.assert_array_equal(envs.step(np.zeros(5, int))[0], expected.step(np.zeros(5, int))[0])


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError", "os.kill(os.getpid(), signal.SIGTERM)"])
@pytest.mark.exhaustive
def test_processes_end_with_the_one_that_steps_however_that_ends(end, tmp_path):
    code = f"""
        import os, signal
        from kgdists.envs.async_envs import AsyncEnvs
        from tests.agents.helpers import Noise
        if __name__ == "__main__":
            envs = AsyncEnvs([Noise] * 2, 2)
            envs.reset()
            print(*[process.pid for process in envs._processes], flush=True)
            {end}
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60).stdout
    deadline = time.monotonic() + 20.0
    while any(map(is_running, map(int, printed.split()))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(printed.split()) == 2 and not any(map(is_running, map(int, printed.split())))


def test_a_main_module_without_a_file_is_left_without_one(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.delattr(main, "__file__", raising=False)  # as in a notebook
    AsyncEnvs([Noise], 1).close()
    assert not hasattr(main, "__file__")


@pytest.mark.exhaustive
def test_forgotten_environments_leave_no_processes():
    envs = AsyncEnvs([Noise], 1)
    pid = envs._processes[0].pid
    del envs
    gc.collect()
    assert not is_running(pid)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("seed", [[1, 2], [1] * 6])
def test_a_seed_for_each_environment(seed, make_async):
    with pytest.raises(ValueError, match="Each of 5 environments must have a value. Received: "):
        make_async(Noise).reset(seed=seed)


@pytest.mark.parametrize("num_workers", [0, -1, 1.5])
def test_a_wrong_number_of_processes_is_refused(num_workers):
    with pytest.raises(ValueError, match="`num_workers` must be None or an int >= 1. Received: "):
        AsyncEnvs([Noise], num_workers)


@pytest.mark.exhaustive
def test_a_script_needs_no_guard_and_leaves_no_processes_when_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert result.returncode == -9, result.stderr[-4000:]
    lines = result.stdout.splitlines()
    assert lines[0] == "this script runs" and lines[1] == "(3, 2)"
    pids = list(map(int, lines[2].split()))
    assert len(pids) == 2
    for _ in range(100):
        if not any(map(is_running, pids)):
            return
        time.sleep(0.1)
    raise AssertionError("Processes are left.")


SCRIPT = """
    import os
    import signal

    import gymnasium
    import numpy as np

    from kgdists.envs.async_envs import AsyncEnvs

    print("this script runs", flush=True)


    class Mine(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), "float32")
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.np_random.random(2, "float32"), {}

        def step(self, action):
            return self.np_random.random(2, "float32"), 0.0, False, False, {}


    envs = AsyncEnvs([Mine] * 3, 2)
    envs.reset(seed=0)
    for process in envs._processes:
        os.kill(process.pid, signal.SIGINT)  # left to this process
    print(envs.step(np.zeros(3, int))[0].shape, flush=True)
    print(*(process.pid for process in envs._processes), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """


@pytest.mark.exhaustive
def test_an_interrupted_step_of_processes_is_followed_by_new_episodes(monkeypatch, eagerly):
    agent = PPO("CartPole-v1", num_envs=2, n_steps=8, batch_size=16, n_epochs=1, vectorization="async", seed=0)
    agent.learn(16)

    def interrupt():
        raise KeyboardInterrupt

    before = [process.pid for process in agent.envs._processes]
    with monkeypatch.context() as patch:
        patch.setattr(agent.envs, "_answers", interrupt)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(16)
    assert len(agent.evaluate(2).returns) == 2
    agent.learn(16)
    assert not set(before) & {process.pid for process in agent.envs._processes}
    agent.envs.close()
    with pytest.raises(ValueError, match="These environments are closed: make new ones"):
        agent.learn(16)


# Vector environments of their own


def random_actions():
    rng = np.random.default_rng(0)
    return lambda observations: rng.integers(2, size=len(observations))


def test_every_step_of_a_native_cart_pole_is_one_of_the_cart_pole():
    envs = SameStep(CartPoleVectorEnv(4, max_episode_steps=30))
    observations, actions, rewards, next_observations, terminated, truncated = rollout(envs, 200, 0, random_actions())
    single = CartPoleEnv()
    single.reset()
    for i in np.ndindex(200, 4):
        single.state, single.steps_beyond_terminated = observations[i].astype("float64"), None
        expected, _, ended, *_ = single.step(actions[i])
        np.testing.assert_allclose(next_observations[i], expected, rtol=1e-5, atol=1e-6)
        assert terminated[i] == ended
    assert (rewards == 1.0).all()
    assert terminated.sum() > 10 and truncated.sum() > 5
    ended = terminated | truncated
    np.testing.assert_array_equal(next_observations[:-1][~ended[:-1]], observations[1:][~ended[:-1]])
    assert (np.abs(observations[1:][ended[:-1]]) <= 0.05).all()
    for column in range(4):
        for length in np.diff(np.flatnonzero(ended[:, column]), prepend=-1):
            assert length <= 30
        steps = np.flatnonzero(truncated[:, column])
        starts = [np.flatnonzero(ended[:i, column])[-1] if ended[:i, column].any() else -1 for i in steps]
        assert all(i - start == 30 for i, start in zip(steps, starts, strict=True))


def test_native_cart_poles_have_the_episodes_of_single_ones():
    lengths = []
    for vectorization in ("native", "sync"):
        rollouts = Rollouts(make_envs("CartPole-v1", 16, vectorization), 300, seed=0)
        rollouts.recent_lengths = []  # of all episodes
        rollouts.collect(random_actions())
        lengths.append(rollouts.recent_lengths)
    one, other = lengths
    assert min(len(one), len(other)) > 150
    error = np.hypot(np.std(one) / np.sqrt(len(one)), np.std(other) / np.sqrt(len(other)))
    assert abs(np.mean(one) - np.mean(other)) < 4.0 * error


def test_native_cart_poles_of_one_seed_are_the_same():
    one, same, other = (
        rollout(make_envs("CartPole-v1", 3, "native"), 40, seed, lambda x: np.arange(3) % 2) for seed in (0, 0, 1)
    )
    assert_same(one, same)
    assert (one[0][0] != other[0][0]).all()


@pytest.mark.parametrize("copy", [True, False])
def test_vector_environments_that_reset_by_a_mask_give_the_very_numbers_of_same_step_ones(copy):
    by_mask = SyncVectorEnv([Noise] * 4, copy=copy, autoreset_mode=AutoresetMode.DISABLED)
    assert_same(rollout(SameStep(by_mask), 40, 0), rollout(make_envs(Noise, 4), 40, 0))


class Column(VectorEnv):
    """Counters of one length for each, which start anew in the step after, as Gymnasium's own vector environments."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    single_observation_space = Box(-np.inf, np.inf, (2,), "float32")
    single_action_space = Discrete(2)

    def __init__(self, *lengths):
        self.num_envs, self.lengths = len(lengths), np.array(lengths)

    def reset(self, *, seed=None, options=None):
        self.state = np.tile(np.array([1.0, 0.0], "float32"), (self.num_envs, 1))
        self.done = np.zeros(self.num_envs, bool)
        return self.state, {}

    def start(self, which):
        self.state[which] = np.stack([self.state[which, 0] + 1.0, np.zeros(which.sum())], axis=1)

    def step(self, actions):
        self.state[~self.done, 1] += 1.0
        rewards = np.where(self.done, 0.0, self.state[:, 1])
        self.start(self.done)
        self.done = self.state[:, 1] == self.lengths
        return self.state, rewards, self.done, np.zeros(self.num_envs, bool), {}


class Known(Column):
    pass


@restart.register
def _(envs: Known, ended):
    envs.start(ended)
    envs.done = np.zeros(envs.num_envs, bool)
    return envs.state


def test_a_vector_environment_is_same_step_by_its_own_way_to_start_anew():
    assert_same(rollout(SameStep(Known(3, 4, 1)), 10), counted(3, 4, 1))


@pytest.mark.parametrize(
    "envs",
    [Column(3), vector_env(AutoresetMode.NEXT_STEP), vector_env(AutoresetMode.SAME_STEP)],
    ids=["own", "next", "same"],
)
def test_a_vector_environment_that_cannot_be_made_same_step_is_refused(envs):
    with pytest.raises(ValueError, match="`kgdists.envs.same_step.restart` must be registered .* Received: .* of mode"):
        SameStep(envs)


@pytest.mark.parametrize("env", ["Pendulum-v1", Counter])
def test_environments_without_a_vector_environment_of_their_own_are_refused(env):
    with pytest.raises(ValueError, match="must be an id with a vector environment of its own. Received: "):
        make_envs(env, 2, "native")


# The choice


@pytest.mark.filterwarnings("ignore:.*Using the latest versioned")
@pytest.mark.parametrize(
    ("env", "num_envs", "kind"),
    [
        ("CartPole-v1", 16, SameStep),
        ("CartPole-v1", 8, SyncVectorEnv),
        ("gymnasium.envs:CartPole-v1", 16, SameStep),
        ("CartPole", 16, SyncVectorEnv),  # the newest of that name
        ("Pendulum-v1", 16, SyncVectorEnv),
        (Counter, 16, SyncVectorEnv),
    ],
)
def test_what_auto_means(env, num_envs, kind):
    assert isinstance(make_envs(env, num_envs, "auto"), kind)


@pytest.mark.parametrize("num_envs", [8, 16])
def test_a_module_that_cannot_be_imported_is_named_whatever_the_number_of_environments(num_envs):
    with pytest.raises(ModuleNotFoundError, match="'no_such_module'. Environment registration via importing a module"):
        make_envs("no_such_module:Env-v0", num_envs, "auto")


def test_an_unknown_vectorization_is_refused():
    with pytest.raises(
        ValueError, match="`vectorization` must be one of auto, sync, async, native, compiled. Received: "
    ):
        make_envs(Counter, 2, "threads")
    with pytest.raises(
        ValueError, match="`vectorization` must be one of auto, sync, async, native, compiled. Received: "
    ):
        small(Counter, vectorization="threads")
