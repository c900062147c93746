"""Networks and schedules of one's own: what could not be read again is refused before it is trained."""

import random

import keras
import numpy as np
import pytest
from keras.optimizers.schedules import LearningRateSchedule

import kgdists as kg
from kgdists.agents import PPO, Checkpoints, EvaluateAndKeepBest
from tests.agents.helpers import Bandit, Noise, small, weights
from tests.marks import exhaustive
from tests.processes import run_python

pytestmark = pytest.mark.usefixtures("eagerly_throughout")


class Unregistered(keras.layers.Dense):
    pass


@keras.saving.register_keras_serializable("tests")
class Registered(keras.layers.Dense):
    pass


@keras.saving.register_keras_serializable("tests")
class Forgetful(keras.layers.Layer):
    """Whose `get_config` lacks an argument of the constructor."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(units)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {"name": self.name}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, x):
        return self.dense(x)


def double(x):
    return 2.0 * x


class Steady(LearningRateSchedule):
    def __call__(self, step):
        return 0.001

    def get_config(self):
        return {}


class Nameless(LearningRateSchedule):
    def __call__(self, step):
        return 0.001


@keras.saving.register_keras_serializable("tests")
class Known(Steady):
    pass


def trunk(layer):
    return keras.Sequential([keras.Input((1,)), layer])


WRONG = {
    "a layer that is not registered": (lambda: trunk(Unregistered(4)), "Unregistered, which is not registered"),
    "a layer without a configuration": (lambda: trunk(Forgetful(4)), "units"),
    "a model that is not registered": (Subclassed, "Subclassed, which is not registered"),
    "an activation that is not registered": (
        lambda: trunk(keras.layers.Dense(4, double)),
        "double, which is not registered",
    ),
    "an initializer that is a function": (
        lambda: trunk(keras.layers.Dense(4, kernel_initializer=lambda shape, dtype: keras.ops.zeros(shape, dtype))),
        "lambda",
    ),
    "a nested layer that is not registered": (
        lambda: trunk(trunk(Unregistered(4))),
        "Unregistered, which is not registered",
    ),
}


@pytest.mark.few(1)
@pytest.mark.filterwarnings("ignore:.*includes a `lambda`")
@pytest.mark.parametrize(("make", "what"), WRONG.values(), ids=WRONG)
def test_a_network_that_could_not_be_read_again_is_refused_before_it_is_trained(tmp_path, make, what):
    agent = small(Bandit, policy=kg.Policy(make(), kg.layers.CategoricalHead(4)))
    before, rule = weights(agent), f"must be read again by other processes: .* Received: `policy`, .*{what}"
    for callback in (Checkpoints(agent, tmp_path / "run"), EvaluateAndKeepBest(Bandit, tmp_path / "best.keras")):
        with pytest.raises(ValueError, match=rule):
            agent.learn(16, [callback])
    with pytest.raises(ValueError, match=rule):
        agent.save(tmp_path / "run")
    assert agent.steps == 0 and np.array_equal(weights(agent), before) and list(tmp_path.iterdir()) == []
    agent.learn(16)  # where it is not saved it may be anything


@pytest.mark.parametrize("agent", [*exhaustive("a2c", "reinforce", "sac"), "es"])
def test_every_agent_refuses_it(tmp_path, agent):
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), Unregistered(4)]), kg.layers.CategoricalHead(2))
    if agent == "es":
        agent = kg.agents.ES(Noise, searcher="snes", popsize=4, policy=policy, seed=0)
    else:
        agent = getattr(kg.agents, agent.upper())(Noise, num_envs=2, policy=policy, seed=0)
    with pytest.raises(ValueError, match="`policy`, Unregistered, which"):
        agent.learn(16, [Checkpoints(agent, tmp_path / "run")])
    assert agent.steps == 0


@pytest.mark.parametrize(
    ("schedule", "what"),
    [(Steady(), "Steady, which is not registered"), (Nameless(), "get_config")],
    ids=["unregistered", "nameless"],
)
def test_a_schedule_that_could_not_be_read_again_is_refused_before_anything_is_trained(tmp_path, schedule, what):
    agent = small(Bandit, learning_rate=schedule)
    with pytest.raises(ValueError, match=f"Received: `learning_rate`, .*{what}"):
        agent.learn(16, [Checkpoints(agent, tmp_path / "run")])
    assert agent.steps == 0 and not (tmp_path / "run").exists()


@pytest.mark.exhaustive
def test_looking_at_a_model_changes_no_numbers(tmp_path):
    def trained(*callbacks):
        random.seed(0)
        agent = small(Bandit, policy=kg.Policy(trunk(Registered(4)), kg.layers.CategoricalHead(4)))
        agent.learn(16, [make(agent) for make in callbacks])
        return weights(agent), keras.initializers.GlorotUniform()((3,)).numpy(), np.array(random.random())

    for mine, theirs in zip(trained(), trained(lambda agent: Checkpoints(agent, tmp_path / "run")), strict=True):
        np.testing.assert_array_equal(mine, theirs)


LOAD = """
    import sys, warnings
    import kgdists as kg
    from tests.agents.helpers import Bandit

    {}
    warnings.simplefilter("ignore")
    try:
        print(kg.agents.PPO.load(sys.argv[1], Bandit).steps)
    except ValueError as error:
        print(error)
    """


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", ["layer", "schedule"])
def test_another_process_is_told_what_it_has_to_import(tmp_path, what):
    if what == "layer":
        agent = small(Bandit, policy=kg.Policy(trunk(Registered(4)), kg.layers.CategoricalHead(4)))
    else:
        agent = small(Bandit, learning_rate=Known())
    agent.learn(16, [Checkpoints(agent, tmp_path / "run")])
    assert PPO.load(tmp_path / "run", Bandit).steps == 16
    (told,) = run_python(LOAD.format(""), str(tmp_path / "run")).splitlines()
    name = "Registered" if what == "layer" else "Known"
    assert (
        f"import the module that registers {name} by " in told
        and f"custom_objects={{{f'tests>{name}'!r}: {name}}}" in told
    )
    assert told.endswith(f"16.zip with tests>{name}") and "damaged" not in told
    assert run_python(LOAD.format("import tests.runs.test_loadable"), str(tmp_path / "run")).strip() == "16"
