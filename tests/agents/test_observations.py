"""Agents and what they observe: any space, as it is."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, Sequence, Text, Tuple
from keras import tree

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, make_envs
from kgdists.encoders import EncodedNetwork
from kgdists.envs.rollout import Rollouts
from tests.encoders.table import SPACES, Mission

AGENTS = {
    "ppo": (PPO, {"num_envs": 2, "n_steps": 8, "batch_size": 8, "n_epochs": 1, "normalize_observations": True}),
    "a2c": (A2C, {"num_envs": 2, "n_steps": 8, "epoch_steps": 16, "normalize_observations": True}),
    "reinforce": (REINFORCE, {"num_envs": 2, "normalize_observations": True}),
    "sac": (
        SAC,
        {"num_envs": 2, "n_steps": 8, "epoch_steps": 16, "learning_starts": 8, "buffer_size": 64, "batch_size": 4},
    ),
    "es": (ES, {"popsize": 4, "normalize_observations": True}),
}
SMALL = {"hidden_units": (4,), "seed": 0}


class Seen(gymnasium.Env):
    """Observes random values of a space; the reward is that of the time."""

    action_space = Discrete(3)

    def __init__(self, space):
        self.observation_space = space

    def _observe(self):
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._observe(), {}

    def step(self, action):
        self._time += 1
        return self._observe(), float(self._time), self._time % 7 == 0, self._time % 5 == 0, {}


LIGHT = ["label", "labels", "bits", "text", "sequence", "one_of", "tuple", "times", "grid"]
QUICK = [("ppo", "mixed")]
MIXED = Dict(
    near=Box(-1.0, 1.0, (2,)), mission=Mission(), inner=Tuple((Discrete(3, start=1), Box(0, 9, (2,), np.int8)))
)
OBSERVED = {name: space for name, (space, _) in SPACES.items()} | {"mixed": MIXED}
PAIRS = [
    pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.exhaustive)
    for pair in [(agent, name) for agent in AGENTS for name in (*LIGHT, "mixed")]
]


@pytest.mark.parametrize(("agent", "name"), PAIRS)
def test_agents_train_act_and_go_on_whatever_is_observed(agent, name, tmp_path):
    cls, settings = AGENTS[agent]
    space = OBSERVED[name]

    def make():
        return Seen(space)

    trained = cls(make, **SMALL | settings)
    trained.learn(16)
    env = make()
    observation, _ = env.reset(seed=1)
    assert env.action_space.contains(trained.predict(observation))
    assert len(trained.evaluate(2, seed=0).returns) == 2
    trained.save(tmp_path)
    resumed = cls.load(tmp_path, make)
    for each in (trained, resumed):
        each.learn(16)
    for x, y in zip(trained.policy.get_weights(), resumed.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


# Actions for what `reset` of the very environment returns


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4", "Blackjack-v1"])
def test_predict_takes_what_reset_returns(env):
    agent = PPO(env, num_envs=2, n_steps=4, batch_size=8, **SMALL)
    single = gymnasium.make(env)
    observation, _ = single.reset(seed=0)
    action = agent.predict(observation)
    assert single.action_space.contains(action)
    envs = gymnasium.make_vec(env, 3)
    observations, _ = envs.reset(seed=0)
    actions = agent.predict(observations)
    assert actions.shape == (3,) and actions[0] == action


def test_predict_takes_dicts_and_texts_one_or_many():
    agent = PPO(lambda: Seen(MIXED), num_envs=2, n_steps=4, batch_size=8, **SMALL)
    envs = gymnasium.vector.SyncVectorEnv([lambda: Seen(MIXED)] * 3)
    observations, _ = envs.reset(seed=[1, 2, 3])
    first, _ = Seen(MIXED).reset(seed=1)
    actions = agent.predict(observations)
    assert actions.shape == (3,) and actions[0] == agent.predict(first)


def test_predict_takes_texts_one_or_many():
    agent = PPO(lambda: Seen(Text(8)), num_envs=2, n_steps=4, batch_size=8, **SMALL)
    actions = agent.predict(("ab", "", "c"))
    assert [agent.predict(x) for x in ("ab", "", "c")] == actions.tolist()
    with pytest.raises(ValueError, match="at most 8 bytes"):
        agent.predict("abcdefghi")


class Angle(gymnasium.Space):
    """Numbers of a space of one's own."""

    def __init__(self):
        super().__init__((), np.float32)

    def sample(self, mask=None, probability=None):
        return np.float32(self.np_random.uniform(0.0, 6.28))

    def contains(self, x):
        return np.shape(x) == ()


@keras.saving.register_keras_serializable("tests")
class Circle(keras.layers.Layer):
    def call(self, x):
        return keras.ops.stack([keras.ops.cos(x), keras.ops.sin(x)], axis=-1)


@kg.encoder_for.register
def _(space: Angle, **options):
    return Circle()


class Word(gymnasium.Space):
    """Lists of letters, which are no arrays."""

    def __init__(self):
        super().__init__(None, None)

    def sample(self, mask=None, probability=None):
        return ["a"] * int(self.np_random.integers(1, 4))

    def contains(self, x):
        return isinstance(x, list) and all(isinstance(letter, str) for letter in x)


@kg.encoders.encode_observation.register
def _(space: Word, word, **options):
    return np.array([len(word)], "float32")


def test_one_registration_is_enough_for_agents_too():
    agent = PPO(lambda: Seen(Angle()), num_envs=2, n_steps=4, batch_size=8, **SMALL)
    assert isinstance(agent.policy.trunk.encoder, Circle)
    assert agent.predict(np.zeros(3, "float32")).shape == (3,)
    agent = PPO(lambda: Seen(Word()), num_envs=2, n_steps=4, batch_size=8, **SMALL)
    assert np.shape(agent.predict(["a", "b"])) == ()
    assert agent.predict((["a"], ["b", "c"])).shape == (2,)


def test_predict_refuses_a_label_out_of_range():
    agent = PPO("FrozenLake-v1", num_envs=2, n_steps=4, batch_size=8, **SMALL)
    with pytest.raises(ValueError, match=r"must be in Discrete\(16\). Received: "):
        agent.predict(16)
    with pytest.raises(ValueError, match="`observations` must have shape"):
        agent.predict(0.5)


class Masked(Seen):
    """A `Seen` that also observes which actions are allowed: the last one alone."""

    def __init__(self, space):
        super().__init__(Dict(**space.spaces, action_mask=Box(0, 1, (3,), np.int8)))

    def _observe(self):
        return super()._observe() | {"action_mask": np.array([0, 0, 1], np.int8)}

    def step(self, action):
        assert action == 2
        return super().step(action)


def test_a_mask_goes_to_the_head_and_the_rest_to_the_encoder():
    agent = PPO(lambda: Masked(MIXED), num_envs=2, n_steps=8, batch_size=8, **SMALL)
    observation, _ = Masked(MIXED).reset(seed=0)
    assert agent.predict(observation) == 2
    assert "action_mask" not in agent.policy.trunk.input and set(agent.policy.trunk.input) == set(MIXED.spaces)


# Dtypes and structures


def test_observations_keep_their_dtype_and_structure():
    space = Dict(image=Box(0, 255, (4, 4, 3), np.uint8), wide=Box(-1.0, 1.0, (2,), np.float64), label=Discrete(3))
    observations, _, _, next_observations, *_ = Rollouts(make_envs(lambda: Seen(space), 2), 6, 0).collect(
        lambda x: np.zeros(2, int)
    )
    for x in (observations, next_observations):
        assert {name: leaf.dtype.name for name, leaf in x.items()} == {
            "image": "uint8",
            "wide": "float32",
            "label": "int64",
        }
        assert x["image"].shape == (6, 2, 4, 4, 3)


def test_the_final_observation_of_a_truncated_episode_is_its_own_whatever_its_structure():
    rollouts = Rollouts(make_envs(lambda: Seen(MIXED), 1), 6, 0)
    observations, _, _, next_observations, _, truncated = rollouts.collect(lambda x: np.zeros(1, int))
    assert truncated[:, 0].tolist() == [False] * 4 + [True, False]
    pairs = zip(tree.flatten(observations), tree.flatten(next_observations), strict=True)
    assert all(np.array_equal(x[1:5], y[:4]) for x, y in pairs)
    assert not np.array_equal(observations["near"][5], next_observations["near"][4])


def test_only_floats_are_normalized():
    space = Dict(bytes=Box(0, 255, (4,), np.uint8), near=Box(-1.0, 1.0, (2,)), far=Box(-9.0, 9.0, (3,)))
    agent = PPO(lambda: Seen(space), num_envs=2, n_steps=8, batch_size=16, normalize_observations=True, **SMALL)
    seen = []
    collect = agent.rollouts.collect
    agent.rollouts.collect = lambda act: seen.append(collect(act)) or seen[-1]
    agent.learn(16)
    layers = {layer.mean.shape: layer for layer in agent.normalizations}
    assert set(layers) == {(2,), (3,)} and len(agent.normalizations) == 4  # of two networks
    for name, layer in (("near", layers[(2,)]), ("far", layers[(3,)])):
        np.testing.assert_allclose(layer.mean, seen[0][0][name].mean(axis=(0, 1)), rtol=1e-5)


def test_a_trunk_of_one_s_own_gets_the_structure_as_it_is():
    space = Dict(camera=Box(0, 255, (8, 8, 3), np.uint8), vector=Box(-1.0, 1.0, (2,)))
    inputs = {
        "camera": keras.Input((8, 8, 3), dtype="uint8", name="camera"),
        "vector": keras.Input((2,), name="vector"),
    }
    image = keras.layers.Flatten()(keras.layers.Rescaling(1.0 / 255.0)(inputs["camera"]))
    features = keras.layers.Dense(4)(keras.layers.Concatenate()([image, inputs["vector"]]))
    policy = kg.Policy(keras.Model(inputs, features), kg.head_for(Seen.action_space))
    agent = PPO(lambda: Seen(space), policy=policy, num_envs=2, n_steps=8, batch_size=8, **SMALL)
    agent.learn(16)
    assert isinstance(agent.value, EncodedNetwork)


# Settings


def test_parts_are_left_out_by_name():
    agent = PPO(lambda: Seen(MIXED), leave_out=("mission",), num_envs=2, n_steps=4, batch_size=8, **SMALL)
    assert "mission" not in agent.policy.trunk.encoder.parts
    with pytest.raises(ValueError, match="`leave_out` must name parts of the observation. Received: misson"):
        PPO(lambda: Seen(MIXED), leave_out=("misson",), **SMALL)
    for env, settings in (("CartPole-v1", {}), ("FrozenLake-v1", {"encoder": "flat"})):
        with pytest.raises(ValueError, match="`leave_out` must name parts of an observation that is not one vector"):
            PPO(env, leave_out=("mission",), **SMALL | settings)
    with pytest.raises(ValueError, match="`max_length` must be an int >= 1. Received: max_length='a'"):
        PPO(lambda: Seen(Sequence(Discrete(2))), max_length="a", **SMALL)


def test_the_convolutions_are_named():
    space = Box(0, 255, (8, 8, 3), np.uint8)
    agent = PPO(lambda: Seen(space), encoder="impala", num_envs=1, n_steps=2, batch_size=2, **SMALL)
    assert agent.policy.trunk.encoder.layers_of_network.name == "impala"
    for env in ("CartPole-v1", "FrozenLake-v1"):
        with pytest.raises(ValueError, match="`encoder` must be auto or flat where no image is observed"):
            PPO(env, encoder="impala")
    with pytest.raises(ValueError, match="`encoder` must be one of auto, nature, impala, small, flat"):
        PPO("CartPole-v1", encoder="resnet")


def test_a_longer_sequence_ends_a_training_by_a_line_that_names_the_setting():
    class Growing(Seen):
        def _observe(self):
            return (0,) * self._time

        def reset(self, *, seed=None, options=None):
            self._time = 0
            return super().reset(seed=seed)

    agent = PPO(lambda: Growing(Sequence(Discrete(2))), max_length=3, num_envs=1, n_steps=8, batch_size=8, **SMALL)
    with pytest.raises(ValueError, match="Environment 0.*at most `max_length` items, 3.* Received: 4 items"):
        agent.learn(8)


def test_a_graph_is_one_line_that_says_what_to_register():
    with pytest.raises(ValueError, match="Environment 0.*encode_observation.register.* Received: Graph"):
        PPO(lambda: Seen(Graph(Box(0.0, 1.0, (2,)), None)))


@pytest.mark.exhaustive
def test_a_vector_environment_may_observe_anything():
    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.vector.SyncVectorEnv([lambda: Seen(MIXED)] * 2, autoreset_mode=same_step)
    agent = PPO(envs, n_steps=8, batch_size=8, **SMALL)
    agent.learn(16)
    twin = PPO(lambda: Seen(MIXED), num_envs=2, n_steps=8, batch_size=8, **SMALL)
    twin.learn(16)
    for x, y in zip(agent.policy.get_weights(), twin.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_flat_is_what_versions_before_saw():
    space = Dict(near=Box(-1.0, 1.0, (2,)), far=Discrete(3))
    agent = PPO(lambda: Seen(space), encoder="flat", num_envs=2, n_steps=4, batch_size=8, **SMALL)
    assert agent.policy.trunk.input_shape == (None, 5)
    observation, _ = Seen(space).reset(seed=0)
    assert Seen.action_space.contains(agent.predict(observation))
    for other in (MIXED, Sequence(Discrete(2))):
        with pytest.raises(ValueError, match='Environment 0.*`encoder="flat"` must go with'):
            PPO(lambda other=other: Seen(other), encoder="flat", **SMALL)
