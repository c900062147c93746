"""Vector environments that start episodes one step late: what is learned and counted is what same-step ones give."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, evaluate, make_envs
from kgdists.agents.sac.replay_buffer import ReplayBuffer
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.rollout import Rollouts
from kgdists.envs.whole_episodes import collect_episodes
from tests.agents.helpers import Counter, Noise, counters, small, weights
from tests.envs.late import Pool
from tests.marks import exhaustive, quick

pytestmark = pytest.mark.usefixtures("eagerly")

LENGTHS = (3, 4, 1)


def in_time(*lengths, **options):
    return make_envs(counters(*lengths, **options), len(lengths))


def makers(lengths, options):
    return [lambda length=length: Counter(length, **options) for length in lengths]


LATE = {
    "pool": lambda *lengths, **options: Pool(makers(lengths, options)),
    "gymnasium": lambda *lengths, **options: SyncVectorEnv(makers(lengths, options)),
    "gymnasium with its own buffer": lambda *lengths, **options: SyncVectorEnv(makers(lengths, options), copy=False),
}


def act(observations):
    return tf.cast(observations[:, 1] % 2, "int32")


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_steps_of_episodes_are_those_of_environments_that_reset_in_time(name, end):
    late, twin = (Rollouts(make(*LENGTHS, end=end), 12) for make in (LATE[name], in_time))
    for _ in range(2):  # over the end of a rollout too
        *columns, is_step = late.collect(act)
        for i in range(len(LENGTHS)):
            kept = [x[is_step[:, i], i] for x in columns]
            seen = getattr(twin, f"seen_{i}", [np.zeros((0, *x.shape[1:]), x.dtype) for x in kept])
            setattr(twin, f"seen_{i}", [np.concatenate(pair) for pair in zip(seen, kept, strict=True)])
        assert not columns[2][~is_step].any() and not (columns[4] | columns[5])[~is_step].any()
    pieces = [twin.collect(act) for _ in range(2)]
    for i in range(len(LENGTHS)):
        seen = getattr(twin, f"seen_{i}")
        for x, *y in zip(seen, *pieces, strict=True):
            np.testing.assert_array_equal(x, np.concatenate(y)[: len(x), i])
    assert set(late.recent_lengths) == {3, 4, 1} and set(late.recent_returns) == {6.0, 10.0, 1.0}


@pytest.mark.parametrize("name", LATE)
def test_episodes_are_counted_as_those_of_environments_that_reset_in_time(name):
    expected = evaluate(in_time(*LENGTHS), act, 7)
    assert sorted(evaluate(make_envs(LATE[name](*LENGTHS), 3), act, 7).lengths) == sorted(expected.lengths)
    cut = evaluate(make_envs(LATE[name](*LENGTHS), 3), act, 7, max_steps=3)
    assert (sorted(cut.lengths), cut.cut) == ([1, 1, 3, 3, 3, 3, 3], 2)
    rollouts = Rollouts(make_envs(LATE[name](*LENGTHS), 3), 5)
    (_, _, rewards, *_), is_wanted = collect_episodes(rollouts, act, 7)
    assert is_wanted.sum(axis=0).tolist() == [9, 8, 2] and rewards[is_wanted].sum() == 18 + 20 + 2
    assert sorted(rollouts.recent_lengths) == [1, 1, 3, 3, 3, 4, 4]


def late_rollout(t=12, n=2):
    """Arrays of T steps of which the fourth and the tenth start episodes, and the same without these."""
    draw = np.random.default_rng(0)
    observations, following = draw.normal(size=(2, t, n, 2)).astype("float32")
    actions, rewards = draw.integers(2, size=(t, n)).astype("int32"), draw.normal(size=(t, n)).astype("float32")
    terminated, truncated, is_step = np.zeros((t, n), bool), np.zeros((t, n), bool), np.ones((t, n), bool)
    terminated[3], truncated[9], is_step[4], is_step[10] = True, True, False, False
    rewards[~is_step] = 0.0
    late = observations, actions, rewards, following, terminated, truncated, is_step
    return late, tuple(x[is_step[:, 0]] for x in late[:-1])


OPTIONS = {
    "plain": {},
    "all there is": {
        "normalize_observations": True,
        "normalize_rewards": True,
        "normalize_advantages": True,
        "ent_coef": 0.1,
        "kl_coef": 0.1,
        "n_epochs": 2,
    },
    "v-trace": {"vtrace": True, "n_epochs": 2},
    "a bound of values": {"clip_range_value": 0.01, "n_epochs": 4},
    "no bound": {"clip_range": np.inf, "kl_coef": 0.5, "adaptive_kl": 0.01, "n_epochs": 2},
}
OF_PPO = ("a bound of values", "no bound")


def agent_of(cls, n_steps, **config):
    if cls is PPO:
        return small(Noise, **{"n_steps": n_steps, "batch_size": 2 * n_steps, "seed": 3} | config)
    return A2C(
        Noise, num_envs=2, n_steps=n_steps, hidden_units=(8,), seed=3, learning_rate=1e-3, epsilon=1e-3, **config
    )


@pytest.mark.parametrize("name", quick(["all there is"], list(OPTIONS)))
@pytest.mark.parametrize("cls", [PPO, *exhaustive(A2C)])
def test_steps_that_are_none_have_no_weight_in_an_update(cls, name):
    if cls is A2C and name in OF_PPO:
        return
    late, twin = late_rollout()
    agents = agent_of(cls, 12, **OPTIONS[name]), agent_of(cls, 10, **OPTIONS[name])
    logs = [agent.update(*rollout) for agent, rollout in zip(agents, (late, twin), strict=True)]
    np.testing.assert_allclose(*map(weights, agents), rtol=1e-4, atol=2e-6)
    for x, y in zip(*(agent._state().values() for agent in agents), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-6)
    for metric in logs[0].keys() - {"saturation"}:
        np.testing.assert_allclose(float(logs[0][metric]), float(logs[1][metric]), rtol=1e-3, atol=1e-5, err_msg=metric)


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", [PPO, A2C])
def test_what_is_in_steps_that_are_none_is_all_the_same(cls):
    found = []
    for number in (0.0, 1e6):
        agent, (late, _) = agent_of(cls, 12, normalize_observations=True), late_rollout()
        for x in (late[0], late[3]):
            x[~late[-1]] = number
        agent.update(*late)
        found.append(weights(agent))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-7)


@pytest.mark.exhaustive
def test_a_minibatch_of_steps_that_are_none_teaches_nothing():
    agent, (late, _) = agent_of(PPO, 12, batch_size=1), late_rollout()
    assert all(np.isfinite(float(x)) for x in agent.update(*late).values())


AGENTS = {
    "ppo": lambda env: small(env, n_steps=8, batch_size=6, num_envs=3, normalize_observations=True),
    "a2c": lambda env: A2C(env, n_steps=4, epoch_steps=24, hidden_units=(4,), seed=0),
    "reinforce": lambda env: REINFORCE(env, episodes=4, hidden_units=(4,), seed=0),
    "sac": lambda env: SAC(
        env,
        epoch_steps=24,
        learning_starts=6,
        batch_size=4,
        gradient_steps=1,
        buffer_size=30,
        hidden_units=(4,),
        seed=0,
    ),
    "es": lambda env: ES(env, popsize=4, hidden_units=(4,), seed=0),
}


@pytest.mark.parametrize("name", quick(["reinforce", "es"], list(AGENTS)))
def test_every_agent_learns_and_is_evaluated_where_episodes_start_late(name, tmp_path):
    agent = AGENTS[name](LATE["pool"](*LENGTHS))
    history = agent.learn(48).history
    assert 1.0 < history["length"][-1] < 4.0 and sorted(agent.evaluate(3).lengths) == [1, 3, 4]
    agent.save(tmp_path)
    loaded = type(agent).load(tmp_path, LATE["gymnasium"](*LENGTHS))
    loaded.learn(24)
    assert loaded.steps > agent.steps


def test_what_starts_an_episode_is_never_replayed():
    example = np.zeros((1, 2), "float32"), np.zeros((1, 1), "int32")
    replay = ReplayBuffer(example, capacity=24, num_envs=2, has_gaps=True)
    late, _ = late_rollout(12)
    late = (late[0], late[1][..., None], *late[2:])
    for _ in range(3):  # round the ring
        index, rows = replay.place(*late[:-1])
        replay.leave_out(index, late[-1])
        replay.write(index, rows)
    other = ReplayBuffer(example, capacity=24, num_envs=3)
    other.restore(replay.arrays(), 2)
    for buffer in (replay, other):
        size, position = tf.constant([buffer.size, buffer.position], "int64")
        drawn = buffer.sample(np.array([0, 1]), 4_000, size, position, 1, 0.9)[0].numpy()
        counts = {tuple(x): n for x, n in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True)}
        assert counts.keys() == set(map(tuple, late[0][late[-1]]))
        assert 150 < min(counts.values()) and max(counts.values()) < 250  # of 200 each


@pytest.mark.parametrize("name", ["pool", *exhaustive("gymnasium")])
def test_what_a_terminated_episode_ends_with_may_be_nan(name):
    class Closed(Counter):
        def step(self, action):
            observation, reward, terminated, *rest = super().step(action)
            return np.full(2, np.nan, "float32") if terminated else observation, reward, terminated, *rest

    make = {"pool": Pool, "gymnasium": SyncVectorEnv}[name]
    agent = small(make([lambda: Closed(3)] * 2))
    agent.learn(32)
    assert agent.evaluate(3).lengths == (3, 3, 3)
    with pytest.raises(WrongReturnError, match="must be finite"):
        small(make([Unbounded] * 2)).learn(32)


class Unbounded(Counter):
    """Is cut off where it observes no number, which a value would follow."""

    def __init__(self):
        super().__init__(length=3, end="truncated")

    def _observation(self):
        return np.full(2, np.nan if self.count == 3 else 1.0, "float32")


def test_a_vector_env_that_says_nothing_of_its_autoreset_must_be_late():
    class Early(Pool):
        def step(self, actions):
            *returned, infos = super().step(actions)
            return *returned, infos | {"final_obs": np.full(self.num_envs, None)}

    with pytest.raises(WrongReturnError, match="must say so, by `metadata.'autoreset_mode'. = .*SAME_STEP`"):
        Rollouts(Early([Counter]), 3).collect(act)
    envs = Pool([Counter])
    envs.metadata = {"autoreset_mode": "sometimes"}
    with pytest.raises(ValueError, match="must be a gymnasium.vector.AutoresetMode. Received: 'sometimes'"):
        make_envs(envs, 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("env", ["CartPole-v1", "Acrobot-v1"])
def test_what_gymnasium_makes_by_default_is_trained_on(env):
    envs = gymnasium.make_vec(env, num_envs=2)
    assert isinstance(envs, VectorEnv) and envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    agent = small(envs)
    agent.learn(64)
    assert agent.evaluate(2, max_steps=50).lengths
