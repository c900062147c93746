"""Every loop over whole episodes ends, and evaluations play in the environments there are."""

import json
import warnings

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, EpisodeRecord, EvaluateAndKeepBest, evaluate, make_envs
from kgdists.cli import main
from kgdists.core.run_warning import RunWarning
from kgdists.envs.evaluation import MAX_STEPS, Evaluation, step_limit
from kgdists.envs.rollout import Rollouts
from kgdists.envs.same_step import native_envs
from kgdists.envs.whole_episodes import collect_episodes
from kgdists.random.seeds import stream
from kgdists.runs.layout import read_evaluation
from kgdists.runs.recording import record
from tests.agents.helpers import Counter, Noise, counters, small, weights
from tests.cli.helpers import registered
from tests.marks import exhaustive, quick

eager = pytest.mark.usefixtures("eagerly")
LONG = 10**6


def always_zero(observations):
    return tf.zeros(len(observations), "int32")


# A policy that stands still


def test_an_evaluation_of_a_policy_that_never_ends_an_episode_ends():
    evaluation = evaluate(make_envs(counters(2, LONG, LONG), 3), always_zero, 7, max_steps=5)
    assert sorted(evaluation.lengths) == [2, 2, 2, 5, 5, 5, 5] and evaluation.cut == 4
    assert str(evaluation).endswith("over 7 episodes, 4 of them cut off after 5 steps")


def test_an_evaluation_steps_through_wrappers():
    class Steps(VectorWrapper):
        taken = 0

        def step(self, actions):
            self.taken += 1
            return super().step(actions)

    envs = Steps(make_envs(counters(2, 3), 2))
    assert sorted(evaluate(envs, always_zero, 5).lengths) == [2, 2, 2, 3, 3] and envs.taken == 6


@pytest.mark.parametrize(
    "lengths, episodes, max_steps, expected, cut",
    [
        ((LONG,), 3, 4, [4, 4, 4], 3),
        ((4,), 3, 4, [4, 4, 4], 0),  # ends as it is cut off
        ((5,), 3, 4, [4, 4, 4], 3),
        ((3,), 3, 4, [3, 3, 3], 0),
        ((LONG, 3), 2, 4, [3, 4], 1),
        ((LONG, 3), 1, 4, [4], 1),
        ((3, LONG), 1, 4, [3], 0),
        ((LONG, LONG), 5, 1, [1] * 5, 5),
        ((1, 2, 3, LONG), 8, 3, [1, 1, 2, 2, 3, 3, 3, 3], 2),
        ((LONG,), 1, 100, [100], 1),
    ],
)
def test_what_is_cut_off_is_counted(lengths, episodes, max_steps, expected, cut):
    evaluation = evaluate(make_envs(counters(*lengths), len(lengths)), always_zero, episodes, max_steps=max_steps)
    assert (sorted(evaluation.lengths), evaluation.cut) == (expected, cut)


def test_environments_that_are_one_program_are_cut_off_too():
    evaluation = evaluate(native_envs("CartPole-v1", 2), lambda x: tf.cast(x[:, 2] > 0, "int32"), 4, 0, max_steps=7)
    assert evaluation.lengths == (7,) * 4 and evaluation.cut == 4


def test_the_limit_is_that_of_the_environment_and_of_what_was_seen():
    class Spec:
        max_episode_steps = 12_345

    envs = make_envs(Noise, 1)
    assert step_limit(envs) == MAX_STEPS == 10_000
    assert step_limit(envs, longest=4_000) == 10_000 and step_limit(envs, longest=20_000) == 40_000
    envs.spec = Spec
    assert step_limit(envs) == 12_345 and step_limit(envs, 7) == 7
    assert step_limit(make_envs("CartPole-v1", 2)) == 10_000


@pytest.mark.parametrize("max_steps", [0, -1, 1.5, "3", True])
def test_a_wrong_limit_is_refused(max_steps):
    for function in (
        lambda: evaluate(make_envs(Noise, 1), always_zero, 1, max_steps=max_steps),
        lambda: ES(Noise, popsize=2, max_steps=max_steps),
        lambda: REINFORCE(Noise, max_steps=max_steps),
    ):
        with pytest.raises(ValueError, match="`max_steps` must be None or an int >= 1. Received: "):
            function()


class Cliff(gymnasium.Env):
    """Ends where action 1 is taken, which pays least."""

    observation_space, action_space = Box(-1.0, 1.0, (1,), "float32"), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, "float32"), {}

    def step(self, action):
        return np.ones(1, "float32"), -1.0 - 99.0 * action, bool(action), False, {}


class Standing(Cliff):
    """Never ends."""

    def step(self, action):
        return super().step(0)


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr("kgdists.envs.evaluation.MAX_STEPS", 20)


def standing(cls=PPO, env=Cliff, **config):
    agent = cls(env, hidden_units=(4,), seed=0, **config)
    agent.policy.head.trainable_variables[-1].assign([50.0, -50.0])
    return agent


AGENTS = {
    "ppo": lambda: standing(num_envs=2, n_steps=8, batch_size=16, n_epochs=1),
    "a2c": lambda: standing(A2C, num_envs=2, n_steps=4, epoch_steps=16),
    "sac": lambda: standing(SAC, num_envs=2, n_steps=4, epoch_steps=16, learning_starts=100),
    "reinforce": lambda: standing(REINFORCE, num_envs=2, episodes=3),
    "es": lambda: standing(ES, Standing, popsize=2, stdev_init=0.01),
    "given environments": lambda: standing(
        env=SyncVectorEnv([Cliff] * 2, autoreset_mode=AutoresetMode.SAME_STEP), n_steps=8, batch_size=16, n_epochs=1
    ),
}


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_that_stands_still_is_evaluated(name, few_steps):
    evaluation = AGENTS[name]().evaluate(5)
    assert evaluation.lengths == (20,) * 5 and evaluation.cut == 5 and evaluation.mean == -20.0


@eager
def test_reinforce_learns_from_episodes_that_are_cut_off(few_steps):
    agent = AGENTS["reinforce"]()
    with pytest.warns(
        RunWarning, match="2 of 2 episodes were cut off after 20 steps, .*`max_steps` sets another limit"
    ):
        agent.learn(1)
    assert list(agent.rollouts.recent_lengths) == [20, 20]


@eager
def test_a_search_learns_from_episodes_that_are_cut_off(few_steps):
    search = AGENTS["es"]()
    with pytest.warns(
        UserWarning, match="2 of 2 episodes were cut off after 20 steps, .*`max_steps` sets another limit"
    ):
        search.learn(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.learn(1)  # said once
    assert search.steps == 80


@pytest.mark.parametrize(
    "lengths, episodes, max_steps, wanted, cut",
    [((3, 4), 4, 9, [6, 8], 0), ((3, LONG), 4, 9, [6, 9], 1), ((LONG,), 1, 1, [1], 1), ((20,), 2, 20, [40], 0)],
)
def test_experience_of_episodes_that_are_cut_off_counts_to_where_they_are(lengths, episodes, max_steps, wanted, cut):
    rollouts = Rollouts(make_envs(counters(*lengths), len(lengths)), 5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (*_, terminated, truncated), is_wanted = collect_episodes(rollouts, always_zero, episodes, max_steps)
    assert is_wanted.sum(axis=0).tolist() == wanted and len(caught) == bool(cut)
    assert np.count_nonzero(truncated & is_wanted) == cut
    assert (terminated | truncated)[is_wanted].sum() == episodes - (episodes == 4 and cut)


@pytest.mark.exhaustive
@eager
def test_callbacks_evaluate_a_policy_that_stands_still(few_steps, tmp_path):
    keeping = EvaluateAndKeepBest(Cliff, tmp_path / "best.keras", episodes=2)
    with pytest.warns(RunWarning, match="2 of 2 episodes of an evaluation were cut off after 20 steps"):
        AGENTS["ppo"]().learn(16, [keeping])
    assert keeping.best_return == -20.0


@eager
def test_a_film_of_a_policy_that_stands_still_ends(few_steps, tmp_path):
    class Seen(Cliff):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
        render_mode = "rgb_array"

        def render(self):
            return np.zeros((8, 8, 3), "uint8")

    assert record(AGENTS["ppo"]().policy, Seen, tmp_path / "film.gif", episodes=2).cut == 2


@eager
@pytest.mark.exhaustive
def test_a_run_of_a_policy_that_stands_still_is_written_and_resumed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("kgdists.envs.evaluation.MAX_STEPS", 2)
    arguments = ["--steps", "32", "--num-envs", "2", "--n-steps", "8", "--batch-size", "16", "--hidden-units", "4"]
    with registered(Standing) as name:
        assert main(["train", name, "--agent", "ppo", *arguments, "--out", str(tmp_path / "run")]) == 0
        assert "100 of them cut off after 2 steps" in capsys.readouterr().out
        (tmp_path / "run" / "evaluation.json").unlink()
        assert main(["resume", str(tmp_path / "run")]) == 0
    assert read_evaluation(tmp_path / "run").cut == 100
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps({"returns": [1.0], "lengths": [2], "steps": 32}))
    assert read_evaluation(tmp_path / "run") == Evaluation((1.0,), (2,), 0)


# Environments of which there is one


class Licence(Noise):
    """There may be one at a time in a process."""

    is_taken = False

    def __init__(self):
        if Licence.is_taken:
            raise RuntimeError("the licence is taken")
        Licence.is_taken = True

    def close(self):
        Licence.is_taken = False


@pytest.fixture
def licence():
    Licence.is_taken = False


ALONE = {
    "ppo": lambda: small(Licence, num_envs=1, batch_size=8),
    "a2c": lambda: A2C(Licence, num_envs=1, n_steps=4, epoch_steps=8, hidden_units=(4,), seed=0),
    "sac": lambda: SAC(
        Licence,
        num_envs=1,
        n_steps=4,
        epoch_steps=8,
        learning_starts=4,
        batch_size=4,
        hidden_units=(4,),
        gradient_steps=1,
        seed=0,
    ),
    "reinforce": lambda: REINFORCE(Licence, num_envs=1, episodes=2, hidden_units=(4,), seed=0),
}


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("name", quick(["ppo"], list(ALONE)))
def test_an_environment_that_exists_once_trains_is_evaluated_and_trains_on(name, licence):
    agent = ALONE[name]()
    agent.learn(8)
    assert len(agent.evaluate(12, seed=0).returns) == 12
    agent.learn(8)
    agent.envs.close()
    assert not Licence.is_taken


@pytest.mark.parametrize("make", ["ppo", "es", "envs"])
def test_environments_are_closed_where_one_of_them_cannot_be_made(make, licence):
    makers = {
        "ppo": lambda: PPO(Licence, num_envs=2),
        "es": lambda: ES(Licence, popsize=4),
        "envs": lambda: make_envs(Licence, 3, "sync"),
    }
    with pytest.raises(RuntimeError, match="the licence is taken"):
        makers[make]()
    assert not Licence.is_taken


@eager
def test_a_search_in_an_environment_that_exists_once(licence, tmp_path):
    agent = ES(Licence, searcher="snes", popsize=4, num_envs=1, hidden_units=(4,), seed=0)
    agent.learn(8, [kg.agents.Checkpoints(agent, tmp_path / "run")])
    assert len(agent.evaluate(3).returns) == 3
    Licence.is_taken = False
    loaded = ES.load(tmp_path / "run", Licence)
    assert loaded.config.num_envs == 1 and loaded.steps == agent.steps
    loaded.learn(8)
    with pytest.raises(ValueError, match="`num_envs` must be that of the vector environment, or None"):
        ES(make_envs(Noise, 2), num_envs=3)


@eager
@pytest.mark.exhaustive
@pytest.mark.parametrize("given", ["a function", "a vector environment", "reinforce"])
def test_an_environment_that_exists_once_is_lent_to_the_evaluations_of_a_callback(given, licence, tmp_path):
    both = []
    for is_evaluated in (False, True):
        if given == "reinforce":
            agent = ALONE["reinforce"]()
        elif given == "a function":
            agent = ALONE["ppo"]()
        else:
            envs = SyncVectorEnv([lambda: EpisodeRecord(Licence())], autoreset_mode=AutoresetMode.SAME_STEP)
            agent = small(envs, batch_size=8)
        keeping = EvaluateAndKeepBest(agent, tmp_path / "best.keras", episodes=3, every_steps=None)
        agent.learn(24, [keeping] if is_evaluated else [])
        assert not is_evaluated or (len(keeping.evaluations) >= 2 and keeping.evaluations[-1][0] == agent.steps)
        agent.learn(8)
        agent.envs.close()
        both.append(weights(agent))
    np.testing.assert_array_equal(*both)


@eager
@pytest.mark.parametrize("config", [{"gamma": 3.0}, {"n_steps": 0}, {"hidden_units": ()}, {"no_such_setting": 1}])
@pytest.mark.parametrize("cls", [PPO, A2C, SAC, REINFORCE])
def test_a_constructor_that_raises_closes_the_environments(cls, config, licence):
    if (cls, config) == (REINFORCE, {"n_steps": 0}) or config == {"hidden_units": ()}:
        config = {"policy": keras.Sequential([keras.layers.Dense(3)])}
    with pytest.raises((TypeError, ValueError, AttributeError)):
        cls(Licence, num_envs=1, **config)
    assert not Licence.is_taken


@eager
def test_a_wrong_value_network_closes_the_environments(licence):
    with pytest.raises(ValueError, match="`value` must map"):
        PPO(Licence, num_envs=1, value=keras.Sequential([keras.layers.Dense(3)]))
    assert not Licence.is_taken


def policy_of(units):
    trunk = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    return kg.Policy(trunk, kg.layers.CategoricalHead(2))


@eager
def test_an_agent_in_a_wrapper_around_recorded_environments_is_saved(tmp_path):
    agent = small(VectorWrapper(kg.envs.make_envs(Noise, 2)))
    agent.learn(16)
    agent.save(tmp_path)
    assert PPO.load(tmp_path, VectorWrapper(kg.envs.make_envs(Noise, 2))).steps == agent.steps


@eager
def test_a_search_that_cannot_be_closes_its_environments(licence):
    with pytest.raises(TypeError):
        kg.evolution.PolicySearch(policy_of(4), Licence, "snes", num_envs=1, nothing=3)
    assert not Licence.is_taken


@eager
def test_a_search_evaluates_in_the_environments_it_has(licence):
    search = kg.evolution.PolicySearch(policy_of(4), Licence, "snes", popsize=4, num_envs=1, stdev_init=0.5, seed=0)
    search.run(1)
    assert len(search.evaluate(5).returns) == 5


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("vectorization", ["sync", *exhaustive("native")])
def test_an_evaluation_in_the_midst_leaves_the_training_as_it_is(vectorization):
    env = "CartPole-v1" if vectorization == "native" else Noise
    plain, evaluated = (small(env, vectorization=vectorization) for _ in range(2))
    for agent in (plain, evaluated):
        agent.learn(16)
    evaluated.evaluate(3, seed=7)
    evaluated.evaluate(2)
    for agent in (plain, evaluated):
        agent.learn(32)
    np.testing.assert_array_equal(weights(plain), weights(evaluated))
    assert plain.rollouts.recent_lengths == evaluated.rollouts.recent_lengths


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("name", ["reinforce", *exhaustive("a2c", "sac")])
def test_an_evaluation_leaves_every_training_as_it_is(name, licence):
    both = []
    for is_evaluated in (False, True):
        agent = ALONE[name]()
        agent.learn(8)
        if is_evaluated:
            agent.evaluate(3)
        agent.learn(16)
        agent.envs.close()
        both.append(weights(agent))
    np.testing.assert_array_equal(*both)


@pytest.mark.exhaustive
@eager
def test_what_is_saved_after_an_evaluation_is_the_training(tmp_path):
    agent = small()
    agent.learn(16)
    expected = agent.arrays()
    agent.evaluate(2)
    agent.save(tmp_path)
    np.testing.assert_equal(PPO.load(tmp_path, Noise).arrays(), expected)


@pytest.mark.exhaustive
@eager
def test_episodes_that_cannot_be_repeated_start_anew_after_an_evaluation():
    agent = small(lambda: Counter(5))
    agent.learn(16)
    agent.evaluate(2)
    with pytest.warns(RunWarning, match="do not repeat their episodes: new ones are started"):
        observations, *_ = agent._collect()
    np.testing.assert_array_equal(observations[0, :, 1], [0, 0])


# Seeds


class Seeded(Noise):
    """Writes down the seeds it is given."""

    seeds: list = []

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            Seeded.seeds.append(seed)
        return super().reset(seed=seed)


@pytest.mark.exhaustive
@eager
@pytest.mark.parametrize("seed", [0, 1, 7, 123])
def test_the_evaluation_of_a_training_has_environment_seeds_of_its_own(seed):
    Seeded.seeds = []
    agent = small(Seeded, seed=seed)
    agent.learn(16)
    training = set(Seeded.seeds)
    Seeded.seeds = []
    agent.evaluate(4, seed=seed)
    first = set(Seeded.seeds)
    Seeded.seeds = []
    agent.evaluate(4, seed=seed + 1)
    assert len(training) == len(first) == 2
    assert not (training & first or set(Seeded.seeds) & (training | first))


def test_seeds_of_evaluations_are_apart():
    seeds = [stream(seed, "evaluation") for seed in range(1000)]
    assert np.diff(sorted(seeds)).min() > 100 and 0 <= min(seeds) and max(seeds) < 2**31
    assert stream(5, "evaluation") == stream(np.int64(5), "evaluation")


@pytest.mark.parametrize("seed", [-1, 1.0, "3", True])
def test_a_wrong_seed_of_an_evaluation_is_refused(seed):
    with pytest.raises(ValueError, match="`seed` must be None or an int >= 0. Received: seed="):
        stream(seed, "evaluation")
