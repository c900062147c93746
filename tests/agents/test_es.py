import json
import zipfile

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

import kgdists as kg
from kgdists.agents import ES, PPO, ESConfig
from kgdists.agents.agent import Agent
from kgdists.runs import checkpoint
from tests.agents.helpers import Bandit, Counter, Noise, Trap

pytestmark = pytest.mark.usefixtures("eagerly")


def small(env=Noise, **config):
    return ES(env, **{"popsize": 4, "hidden_units": (3,), "stdev_init": 0.5, "seed": 0} | config)


def small_ppo():
    return PPO(Noise, num_envs=1, n_steps=4, batch_size=4, hidden_units=(3,), seed=0)


def weights(agent):
    return np.concatenate([np.ravel(variable) for variable in agent.policy.variables])


def test_a_folder_holds_these_files_and_no_others(tmp_path):
    small().save(tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["checkpoints", "config.json", "policy.keras"]
    with zipfile.ZipFile(tmp_path / "run" / "checkpoints" / "0.zip") as archive:
        assert sorted(archive.namelist()) == ["config.json", "policy.keras", "state.npz"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["agent"] == "pgpe"


@pytest.mark.exhaustive
def test_a_loaded_agent_goes_on_bit_for_bit(tmp_path):
    config = {"searcher": "snes", "normalize_observations": True}
    whole, first = small(**config), small(**config)
    whole.learn(100)
    first.learn(50)
    first.save(tmp_path)
    rest = ES.load(tmp_path, Noise)
    assert rest.config == first.config and rest.steps == first.steps
    rest.learn(whole.steps - first.steps)
    np.testing.assert_array_equal(weights(rest), weights(whole))
    assert rest.recent_returns == whole.recent_returns


def test_a_state_of_another_search_is_refused(tmp_path):
    small().save(tmp_path / "a")
    small(hidden_units=(5,)).save(tmp_path / "b")
    one, other = (zipfile.ZipFile(tmp_path / name / "checkpoints" / "0.zip") for name in "ab")
    with one, other, zipfile.ZipFile(tmp_path / "mixed.zip", "w") as mixed:
        for name in ("config.json", "policy.keras"):
            mixed.writestr(name, one.read(name))
        mixed.writestr("state.npz", other.read("state.npz"))
    (tmp_path / "mixed.zip").replace(tmp_path / "a" / "checkpoints" / "0.zip")
    with pytest.raises(ValueError, match="damaged: A search goes on from a state of its own shapes"):
        ES.load(tmp_path / "a", Noise)


@pytest.mark.exhaustive
@pytest.mark.parametrize("space", [Discrete(4), Box(0.0, 1.0, (2,)), Dict(a=Discrete(4), b=Box(0.0, 1.0, (1,)))])
def test_a_default_policy_acts_in_the_action_space(space):
    agent = small(lambda: Bandit(space), popsize=6)
    agent.learn(12)
    assert agent.steps == 12 and len(agent.evaluate(2).returns) == 2


def test_the_default_policy_has_the_settings():
    agent = small(hidden_units=(5, 3), normalize_observations=True)
    kinds = [type(layer).__name__ for layer in agent.policy.trunk.layers]
    assert kinds == ["RunningNormalization", "Dense", "Dense"]
    assert [layer.units for layer in agent.policy.trunk.layers[1:]] == [5, 3]
    linear = small(hidden_units=())
    assert linear.search.state.distribution.solution_length == 2 * 2 + 2


def test_settings_reach_the_searcher():
    agent = small(center_learning_rate=0.3, stdev_learning_rate=0.2)
    assert (agent.search.searcher.center_learning_rate, agent.search.searcher.stdev_learning_rate) == (0.3, 0.2)
    assert small(searcher="cem", parenthood_ratio=0.5).search.state.distribution.parameters["parenthood_ratio"] == 0.5
    assert small(searcher="cem", popsize=10).search.state.distribution.parameters["parenthood_ratio"] == 0.2


@pytest.mark.exhaustive
def test_masks_rule_actions_out():
    agent = small(Trap)
    agent.learn(1)
    assert agent.steps == 20 and agent.evaluate(3).lengths == (5, 5, 5)
    assert agent.env is Trap


def test_a_policy_of_one_s_own_is_searched():
    policy = kg.Policy(keras.layers.Dense(3, "tanh"), kg.layers.CategoricalHead(2))
    agent = small(lambda: Counter(3), policy=policy)
    agent.learn(1)
    assert agent.policy is policy


def test_a_vector_environment_is_used_as_it_is():
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.vector.SyncVectorEnv([lambda: Counter(3)] * 2, autoreset_mode=mode)
    agent = small(envs)
    agent.learn(1)
    assert agent.steps == 12 and agent.evaluate(3).returns == (6.0, 6.0, 6.0)


WRONG = {
    "searcher": ("adam", "one of"),
    "popsize": (0, "an int >= 1"),
    "episodes": (True, "an int >= 1"),
    "max_steps": (0, "None or an int >= 1"),
    "num_interactions": (1.5, "None or an int >= 1"),
    "popsize_max": (-1, "None or an int >= 1"),
    "stdev_init": (0.0, "a finite number > 0"),
    "initial_stddev": (float("inf"), "a finite number > 0"),
    "center_learning_rate": (-1.0, "None or a finite number > 0"),
    "stdev_learning_rate": (float("nan"), "None or a finite number > 0"),
    "box_family": ("gaussian", "one of"),
    "hidden_units": ((0,), "a tuple of ints >= 1"),
    "seed": (-1, "None or an int from 0 to 2"),
    "parenthood_ratio": (1.5, r"None or in \(0, 1\]"),
}


@pytest.mark.parametrize("name, value, rule", [(name, *wrong) for name, wrong in WRONG.items()], ids=WRONG)
def test_wrong_settings(name, value, rule):
    with pytest.raises(ValueError, match=f"`{name}` must be {rule}.* Received: {name}={value!r}".replace("(0,)", ".*")):
        ESConfig(**{name: value})


def test_a_parenthood_ratio_is_that_of_cem():
    with pytest.raises(ValueError, match="`parenthood_ratio` is a setting of cem alone. Received: searcher='pgpe'"):
        ESConfig(parenthood_ratio=0.5)


def test_settings_come_back_from_json():
    config = ESConfig(hidden_units=(8, 4), num_interactions=100)
    text = json.dumps(checkpoint.config_to_json(config))
    assert ESConfig(**checkpoint.config_from_json(json.loads(text))) == config


def test_what_belongs_to_the_search_has_its_old_name_for_a_version():
    agent = small()
    with pytest.warns(DeprecationWarning, match="`state` is now `search.state`: its old name goes in 0.3"):
        assert agent.state is agent.search.state
    with pytest.raises(AttributeError, match="'ES' object has no attribute 'nothing'"):
        agent.nothing


def test_it_keeps_the_contract_of_an_agent(tmp_path):
    agent = small(searcher="snes")
    assert isinstance(agent, Agent) and isinstance(small_ppo(), Agent)
    agent.learn(1)
    assert agent.epochs == 1 and agent.steps == agent.search.steps
    assert agent.envs.num_envs == 4 and agent.envs.single_action_space == Discrete(2)
    drawn = [agent.evaluate(3, deterministic=False, seed=seed).returns for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_vector_environment_that_resets_late_is_searched_and_evaluated():
    agent = small(gymnasium.vector.SyncVectorEnv([lambda: Counter(3)] * 2))
    agent.learn(1)
    assert agent.evaluate(5).lengths == (3,) * 5


def test_it_answers_observations_as_other_agents_do():
    agent = small(lambda: gymnasium.make("CartPole-v1"))
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    actions = agent.predict(observations)
    assert actions.shape == (5,) and actions.dtype == agent.envs.single_action_space.dtype
    assert [agent.predict(x).item() for x in observations] == actions.tolist()
    assert np.array_equal(actions, np.argmax(agent.policy(observations).logits, -1))
    assert set(agent.predict(np.zeros((200, 4)), deterministic=False).tolist()) == {0, 1}
    with pytest.raises(ValueError, match=r"`observations` must have shape \(4,\)"):
        agent.predict(np.zeros(3))


@pytest.mark.exhaustive
def test_the_last_generation_is_evaluated(tmp_path):
    agent = small()
    keeping = kg.runs.EvaluateAndKeepBest(Noise, tmp_path / "best.keras", episodes=2, every_steps=10**6)
    agent.learn(361, [keeping])
    assert keeping.evaluations[-1][0] == agent.steps >= 361
