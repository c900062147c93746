import keras
import numpy as np
import pytest
from gymnasium.spaces import Box
from keras import layers

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC
from kgdists.layers import CategoricalHead, RunningNormalization, SquashedNormalHead
from tests.agents.helpers import Bandit, Noise
from tests.agents.test_ppo import flat

pytestmark = pytest.mark.usefixtures("eagerly")
AGENTS = {
    PPO: {"num_envs": 2, "n_steps": 8, "batch_size": 8, "n_epochs": 2},
    A2C: {"num_envs": 2, "n_steps": 8, "epoch_steps": 16},
    REINFORCE: {"num_envs": 2, "episodes": 4},
    SAC: {"learning_starts": 8, "epoch_steps": 16, "batch_size": 8},
}


def network(*more, width, **options):
    """Parts of one's own in front, then a layer with these options, then as many numbers."""
    return keras.Sequential([keras.Input((2,)), *more, layers.Dense(8, "tanh", **options), layers.Dense(width)])


def made(cls, policy, other=None, **config):
    """An agent with these networks."""
    policy = kg.Policy(policy, CategoricalHead(2, random_seed=0))
    if other is not None:
        config["critic" if cls is SAC else "value"] = other
    return cls(Noise, policy=policy, seed=0, **AGENTS[cls], **config)


def values(cls, *more, **options):
    """A value network, or two critics of two choices."""
    if cls is not SAC:
        return network(*more, width=1, **options)
    return keras.Sequential([network(*more, width=4, **options), layers.Reshape((2, 2))])


@pytest.mark.parametrize("standardizes", [False, True])
def test_standardizing_is_advised_unless_the_networks_do_it(standardizes):
    agent = made(PPO, network(*[RunningNormalization()] * standardizes, width=3))
    agent.rollouts.observations = np.full((2, 2), 1e9, "float32")
    assert ("standardize them" in str(agent._diverged(["a weight"]))) is not standardizes


@pytest.mark.exhaustive
@pytest.mark.parametrize("where", ["policy", "values"])
@pytest.mark.parametrize("cls", AGENTS)
def test_weights_obey_their_constraints(cls, where):
    options = {"kernel_constraint": keras.constraints.NonNeg(), "kernel_initializer": "glorot_uniform"}
    for_policy, for_values = (options, {}) if where == "policy" else ({}, options)
    agent = made(cls, network(width=3, **for_policy), values(cls, **for_values), learning_rate=0.01)
    agent.learn(32)
    constrained = [x for x in agent.variables if x.constraint is not None]
    assert len(constrained) == 1 and constrained[0].numpy().min() >= 0.0


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "constraint", [keras.constraints.MaxNorm(0.1), keras.constraints.UnitNorm()], ids=["max", "unit"]
)
@pytest.mark.parametrize("cls", AGENTS)
def test_norms_of_weights_are_bounded(cls, constraint):
    agent = made(cls, network(width=3, kernel_constraint=constraint), learning_rate=0.01)
    agent.learn(16)
    kernel = next(x for x in agent.variables if x.constraint is not None)
    np.testing.assert_allclose(constraint(kernel), kernel, rtol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.parametrize("where", ["policy", "values"])
@pytest.mark.parametrize("cls", AGENTS)
def test_a_regularizer_draws_weights_to_zero(cls, where):
    sizes = []
    for regularizer in (None, keras.regularizers.L2(100.0)):
        keras.utils.set_random_seed(0)
        options = {"kernel_regularizer": regularizer, "name": "regularized"}
        for_policy, for_values = (options, {}) if where == "policy" else ({}, options)
        agent = made(cls, network(width=3, **for_policy), values(cls, **for_values), learning_rate=0.01)
        agent.learn(64)
        sizes.append(np.abs(flat([x for x in agent.variables if "regularized/kernel" in x.path])).mean())
    assert sizes[1] < 0.99 * sizes[0]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "regularizer", ["l1", "l2", keras.regularizers.OrthogonalRegularizer(1.0)], ids=["l1", "l2", "orthogonal"]
)
def test_the_gradient_of_a_regularizer_is_part_of_the_step(regularizer):
    agent = made(A2C, network(width=3, kernel_regularizer=regularizer), max_grad_norm=None)
    from_loss = agent.policy.losses
    assert len(from_loss) == 1
    np.testing.assert_allclose(kg.agents.networks.penalty(agent.variables), from_loss[0], rtol=1e-6)


OTHERWISE_IN_TRAINING = [
    layers.Dropout(0.5),
    layers.Dropout(1e-4),
    layers.BatchNormalization(),
    layers.GaussianNoise(0.1),
    layers.GaussianDropout(0.1),
    layers.AlphaDropout(0.1),
    layers.SpectralNormalization(layers.Dense(3)),
]


@pytest.mark.few(1)
@pytest.mark.parametrize("index", range(len(OTHERWISE_IN_TRAINING)))
@pytest.mark.parametrize("cls", AGENTS)
def test_what_differs_in_training_is_refused_in_one_line(cls, index):
    layer = OTHERWISE_IN_TRAINING[index]
    layer = type(layer).from_config(layer.get_config())
    agent = made(cls, network(layer, width=3))
    before = flat(agent.policy.get_weights())
    with pytest.raises(ValueError, match=f"`policy` must do in training what it does .* Received: {layer.name}"):
        agent.learn(16)
    np.testing.assert_array_equal(flat(agent.policy.get_weights()), before)


@pytest.mark.few(1)
@pytest.mark.parametrize("cls", AGENTS)
def test_what_differs_in_training_is_refused_in_values_too(cls):
    agent = made(cls, network(width=3), values(cls, layers.Dropout(0.2, name="mine")))
    with pytest.raises(ValueError, match=f"`{'critic' if cls is SAC else 'value'}` must do .* Received: mine"):
        agent.learn(16)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "layer", [layers.Dropout(0.0), layers.BatchNormalization(trainable=False), layers.UnitNormalization()]
)
def test_layers_that_are_the_same_at_all_times_are_trained_with(layer):
    made(PPO, network(type(layer).from_config(layer.get_config()), width=3)).learn(16)


def test_losses_of_activations_are_refused_in_one_line():
    agent = made(PPO, network(width=3, activity_regularizer="l2"))
    with pytest.raises(ValueError, match="`policy` must have no losses but those of its weights"):
        agent.learn(16)


def test_critics_of_boxes_are_looked_at_with_actions():
    actions, x = keras.Input((1,)), keras.Input((1,))
    h = layers.Dropout(0.1, name="mine")(layers.Concatenate()([x, actions]))
    critic = keras.Model([x, actions], layers.Reshape((2, 1))(layers.Dense(2)(h)))
    trunk = keras.Sequential([keras.Input((1,)), layers.Dense(4)])
    env = lambda: Bandit(Box(-1.0, 1.0, (1,)))  # noqa: E731
    agent = SAC(env, policy=kg.Policy(trunk, SquashedNormalHead(1)), critic=critic, **AGENTS[SAC])
    with pytest.raises(ValueError, match="`critic` must do .* Received: mine"):
        agent.learn(16)


@pytest.mark.exhaustive
def test_running_normalization_is_trained_with():
    agent = made(PPO, network(RunningNormalization(), width=3))
    agent.learn(16)
    assert agent.normalizations[0].count == 16.0


class Inside(layers.Layer):
    """Keeps its layers as attributes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.normalization, self.dense = RunningNormalization(), layers.Dense(8)

    def call(self, x):
        return self.dense(self.normalization(x))


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", AGENTS)
def test_statistics_are_kept_at_any_depth(cls):
    agent = made(cls, network(layers.Reshape((2, 1)), layers.Flatten(), Inside(), width=3))
    agent.learn(16)
    (layer,) = agent.normalizations
    # Steps behind the last episodes are taken, but nothing is learned from them.
    assert (0 < layer.count < agent.steps if cls is REINFORCE else layer.count == agent.steps) and np.any(layer.mean)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "before",
    [
        layers.Rescaling(1 / 255),
        layers.Dense(4),
        layers.Dense(7),
        layers.Activation("relu"),
        layers.LayerNormalization(),
    ],
)
@pytest.mark.parametrize("cls", AGENTS)
def test_statistics_of_anything_but_observations_are_refused_in_one_line(cls, before):
    before = type(before).from_config(before.get_config() | {"name": "before"})
    agent = made(cls, network(before, RunningNormalization(name="mine"), width=3))
    with pytest.raises(ValueError, match="must come first, .* Received: mine, whose inputs have shape"):
        agent.learn(16)
    assert agent.steps == 0


def test_a_search_refuses_statistics_of_anything_but_observations():
    policy = kg.Policy(network(layers.Dense(4), RunningNormalization(name="mine"), width=3), CategoricalHead(2))
    with pytest.raises(ValueError, match="must come first, .* Received: mine"):
        ES(Noise, policy=policy, popsize=2, searcher="snes", stdev_init=0.5).learn(1)


@pytest.mark.parametrize(
    ("options", "name"), [({"kernel_constraint": "non_neg"}, "constraint"), ({"bias_regularizer": "l2"}, "regularizer")]
)
def test_a_search_refuses_weights_that_are_not_free(options, name):
    policy = kg.Policy(network(width=3, **options), CategoricalHead(2))
    with pytest.raises(ValueError, match=f"the policy must have no {name} of weights. Received: one of "):
        ES(Noise, policy=policy, popsize=2, searcher="snes", stdev_init=0.5).learn(1)


class Noisy(layers.Layer):
    """Adds noise at all times."""

    def __init__(self, is_seeded, **options):
        super().__init__(**options)
        self.seed = keras.random.SeedGenerator(0) if is_seeded else None

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)


@pytest.mark.few(1)
@pytest.mark.parametrize("is_seeded", [True, False])
def test_noise_at_all_times_is_refused_in_one_line(is_seeded):
    agent = made(PPO, network(Noisy(is_seeded), width=3))
    with pytest.raises(ValueError, match="`policy` must give the same outputs for the same inputs"):
        agent.learn(16)


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", AGENTS)
def test_layers_that_are_frozen_later_are_named(cls):
    agent = made(cls, network(width=3))
    agent.policy.trunk.layers[0].trainable = False
    with pytest.raises(ValueError, match="settled when an agent is made.* Received: `trainable` changed of .*kernel"):
        agent.learn(16)
    agent.policy.trunk.layers[0].trainable = True
    agent.learn(16)
    frozen = network(width=3)
    frozen.layers[0].trainable = False
    agent = made(cls, frozen)
    before = frozen.layers[0].kernel.numpy()
    agent.learn(16)
    np.testing.assert_array_equal(frozen.layers[0].kernel, before)


class Spare(layers.Layer):
    """Has a weight that nothing depends on."""

    def build(self, shape):
        self.spare = self.add_weight((3,), "ones")

    def call(self, x):
        return x


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning")  # Keras says so
@pytest.mark.parametrize("cls", AGENTS)
def test_a_weight_that_nothing_depends_on_stays_as_it_is(cls):
    agent = made(cls, network(Spare(), width=3))
    agent.learn(32)
    np.testing.assert_array_equal(agent.policy.trainable_variables[0], np.ones(3))


@pytest.mark.exhaustive
def test_an_action_that_cannot_be_chosen_is_trained_with():
    agent = SAC(lambda: Bandit(Box(1.0, 1.0, (2,))), hidden_units=(4,), seed=0, **AGENTS[SAC])
    agent.learn(32)
    np.testing.assert_array_equal(agent.predict(np.ones(1, "float32")), [1.0, 1.0])
