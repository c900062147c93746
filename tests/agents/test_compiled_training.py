"""Trainings as one program: what is learned is what is learned step by step, and what goes wrong is told."""

import resource

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from keras import ops

import kgdists as kg
from kgdists.core.run_warning import RunWarning
from kgdists.envs.checked_env import WrongReturnError
from tests.envs.functional.test_stepping import Counter, without_xla  # noqa: F401

SMALL = {"num_envs": 4, "hidden_units": (8,), "seed": 0}
PPO = SMALL | {"n_steps": 16, "batch_size": 32, "n_epochs": 2}
ARGUMENTS = {"PPO": PPO, "A2C": SMALL | {"epoch_steps": 40}, "REINFORCE": SMALL | {"episodes": 6}}


class Moves(Counter):
    """Observes a dict and a mask, and takes nested actions."""

    observation_space = Dict(
        observation=Dict(at=Box(-100.0, 100.0, (1,)), screen=Box(0, 255, (3, 3), "uint8")),
        action_mask=Box(0, 1, (5,), bool),
    )
    action_space = MultiDiscrete([2, 3])

    def transition(self, state, action, seed):
        return super().transition(state, ops.sum(action, axis=1), seed)

    def observation(self, state):
        num_envs = state["drawn"].shape[0]
        screen = ops.cast(ops.broadcast_to(state["count"][:, None, None], (num_envs, 3, 3)), "uint8")
        mask = ops.stack([ops.ones(num_envs, "bool")] * 3 + [state["count"] % 2 == 0] * 2, axis=1)
        return {"observation": {"at": state["drawn"][:, None], "screen": screen}, "action_mask": mask}


def learned(name, env, vectorization, steps=160, **settings):
    agent = getattr(kg.agents, name)(env, vectorization=vectorization, **ARGUMENTS[name] | settings)
    agent.learn(steps, verbose=0)
    return agent


def assert_same(agent, other, **tolerance):
    arrays, others = agent.arrays(), other.arrays()
    assert arrays.keys() == others.keys()
    models = [(getattr(agent, name), getattr(other, name)) for name in agent.MODELS]
    pairs = [(name, x, others[name]) for name, x in arrays.items()]
    pairs += [(x.path, x.numpy(), y.numpy()) for a, b in models for x, y in zip(a.variables, b.variables, strict=True)]
    for name, x, y in pairs:
        if tolerance:
            np.testing.assert_allclose(x, y, **tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(x, y, err_msg=name)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "env", "settings"),
    [
        ("PPO", "CartPole-v1", {"normalize_rewards": True, "normalize_observations": True}),
        ("A2C", "Pendulum-v1", {}),
        ("REINFORCE", "CartPole-v1", {}),
        ("PPO", "Pendulum-v1", {"sde_sample_freq": 4, "box_family": "normal"}),
        ("PPO", "Pendulum-v1", {"vtrace": True, "kl_coef": 0.1, "target_kl": 0.01}),
        ("A2C", "CartPole-v1", {"normalize_observations": True, "n_epochs": 2, "vtrace": True}),
        ("PPO", "kgdists/Breakout-v0", {}),
        ("REINFORCE", "Acrobot-v1", {"baseline": False}),
        ("PPO", "MountainCarContinuous-v0", {"box_family": "beta"}),
    ],
)
def test_what_is_learned_is_what_is_learned_step_by_step(name, env, settings):
    whole, stepped = (learned(name, kg.envs.compiled(env), x, **settings) for x in ("compiled", "sync"))
    assert whole.is_compiled and not stepped.is_compiled and whole.steps == stepped.steps
    assert_same(whole, stepped, rtol=1e-4, atol=1e-6)  # XLA orders sums in other ways where they stand in a loop


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["PPO", "A2C"])
def test_masks_and_nested_observations(name):
    whole, stepped = (learned(name, Moves(), x) for x in ("compiled", "sync"))
    assert whole.is_compiled
    assert_same(whole, stepped, rtol=1e-4, atol=1e-6)
    observation = {"at": np.zeros(1, "float32"), "screen": np.zeros((3, 3), "uint8")}
    mask = np.array([1, 1, 1, 0, 0], bool)
    assert whole.predict({"observation": observation, "action_mask": mask})[1] == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["PPO", "A2C", "REINFORCE"])
def test_a_run_goes_on_as_if_it_had_not_been_saved(name, tmp_path):
    whole = learned(name, "CartPole-v1", "compiled", 240)
    agent = learned(name, "CartPole-v1", "compiled", 80)
    agent.evaluate(4, seed=0)  # in the same environments
    agent.save(tmp_path / "run")
    loaded = getattr(kg.agents, name).load(tmp_path / "run")
    assert loaded.is_compiled and not loaded.starts_new_episodes
    while loaded.steps < whole.steps:
        loaded.learn(1 if name == "REINFORCE" else 80, verbose=0)
    assert_same(whole, loaded)


@pytest.mark.exhaustive
def test_a_run_goes_on_in_other_environments(tmp_path):
    agent = learned("PPO", "CartPole-v1", "compiled")
    agent.save(tmp_path / "run")
    with pytest.warns(RunWarning, match="do not record their episodes: new ones are started"):
        stepped = kg.agents.PPO.load(tmp_path / "run", vectorization="sync")
    assert not stepped.is_compiled
    stepped.learn(64, verbose=0)
    stepped.save(tmp_path / "other")
    with pytest.warns(RunWarning, match="new ones are started"):
        kg.agents.PPO.load(tmp_path / "other", vectorization="compiled").learn(64, verbose=0)


@pytest.mark.exhaustive
def test_as_many_steps_are_taken_as_are_planned():
    agent = kg.agents.PPO("CartPole-v1", vectorization="compiled", **PPO)
    history = agent.learn(1000, verbose=0)
    assert agent.steps == agent.config.num_steps(1000) == 1024 and history.history["steps"] == [1024]
    assert agent.learn(64, verbose=0).history["steps"] == [1088]
    a2c = learned("A2C", "CartPole-v1", "compiled", 41)
    assert a2c.steps == a2c.config.num_steps(41) == 80


@pytest.mark.exhaustive
def test_a_schedule_is_not_stretched_where_the_last_epoch_is_short(tmp_path):
    rate = keras.optimizers.schedules.PolynomialDecay(1e-3, 2 * 20_480 // 32, end_learning_rate=0.0)
    settings = PPO | {"vectorization": "compiled", "n_steps": 1024, "learning_rate": rate}
    agent = kg.agents.PPO("CartPole-v1", **settings)
    agent.learn(16_384, verbose=0)
    agent.save(tmp_path)
    loaded = kg.agents.PPO.load(tmp_path)
    history = loaded.learn(4_096, verbose=0)  # a warning would be an error
    assert history.history["learning_rate"][-1] < 2e-4


@pytest.mark.exhaustive
def test_callbacks_come_between_calls(tmp_path):
    agent = kg.agents.PPO("CartPole-v1", vectorization="compiled", **PPO | {"n_steps": 1024, "batch_size": 4096})
    seen = []

    class Watch(kg.agents.Checkpoints):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["steps"]))
            super().on_epoch_end(epoch, logs)

    history = agent.learn(20_000, [Watch(agent, tmp_path, every_seconds=0)], verbose=0)
    assert seen == [(0, 16_384), (1, 20_480)] and agent.checkpoint.stem == "20480"
    names = {"return", "length", "running_return", "policy_loss", "explained_variance", "steps_per_second"}
    assert names <= history.history.keys() and np.isfinite(history.history["policy_loss"]).all()
    assert len(agent.recent_returns) == 100 and min(agent.recent_lengths) >= 5


class Poisoned(Counter):
    """From the eighth step of the run on, in its second rollout, nothing is finite."""

    def initial(self, num_envs, seed):
        return super().initial(num_envs, seed) | {"seen": ops.zeros(num_envs, "int32")}

    def transition(self, state, action, seed):
        return super().transition(state, action, seed) | {"seen": state["seen"] + 1}

    def terminal(self, state):
        return state["count"] >= 50

    def reward(self, state, action, next_state):
        return ops.where(next_state["seen"] >= 20, np.inf, 1.0)


def test_what_is_not_finite_is_not_learned_from():
    agent = kg.agents.PPO(Poisoned(), vectorization="compiled", **PPO)
    good = learned("PPO", Poisoned(), "compiled", 64)
    with pytest.raises(WrongReturnError, match="Observations and rewards of Poisoned must be finite"):
        agent.learn(640, verbose=0)
    for x, y in zip(agent.policy.variables, good.policy.variables, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())  # those of the first update
    assert agent.is_sound and agent.rollouts.starts_anew
    assert agent.learn(64, verbose=0).history["steps"] == [64]  # with new episodes


@pytest.mark.exhaustive
def test_nor_by_whole_episodes_or_a_search():
    for make in (
        lambda: kg.agents.REINFORCE(Poisoned(max_episode_steps=30), **SMALL),
        lambda: kg.agents.ES(Poisoned(max_episode_steps=30), searcher="snes", popsize=16, seed=0),
    ):
        agent = make()
        before = agent.policy.get_weights()
        with pytest.raises(WrongReturnError, match="Observations and rewards of Poisoned must be finite"):
            agent.learn(64, verbose=0)
        for x, y in zip(before, agent.policy.get_weights(), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_class_is_a_function_that_makes_one():
    assert kg.agents.PPO(Counter, **PPO).is_compiled


def test_a_policy_that_is_not_a_number_is_told():
    agent = kg.agents.PPO("CartPole-v1", vectorization="compiled", **PPO)
    agent.learn(64, verbose=0)
    kernel = agent.policy.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan, "float32"))
    with pytest.raises(FloatingPointError, match="diverged after 64 steps: the policy's distribution"):
        agent.learn(640, verbose=0)
    assert not agent.is_sound


@pytest.mark.exhaustive
def test_infos_are_logged():
    agent = kg.agents.PPO(Counter(max_episode_steps=4), log_info=("count",), **PPO)
    assert agent.learn(64, verbose=0).history["count"] == [4.0]
    with pytest.warns(RunWarning, match="`log_info`: missing must be a number"):
        kg.agents.PPO(Counter(max_episode_steps=4), log_info=("missing",), **PPO).learn(64, verbose=0)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("vectorization", "num_envs", "kind"), [("auto", 16, True), ("auto", 8, False), ("sync", 16, False)]
)
def test_auto_compiles_from_sixteen_environments_on_and_says_so(vectorization, num_envs, kind, capsys):
    agent = kg.agents.PPO("CartPole-v1", vectorization=vectorization, **PPO | {"num_envs": num_envs})
    assert agent.is_compiled is kind
    if kind:
        agent.learn(256, verbose=1)
        (said, *_) = capsys.readouterr().out.splitlines()
        assert said == "CartPole-v1 is compiled into one program with the agent; vectorization=sync steps it in Python"


@pytest.mark.exhaustive
def test_what_cannot_be_compiled_is_told():
    for env, message in [
        ("Blackjack-v1", "There must be a compiled environment"),
        (kg.envs.EnvId("CartPole-v1", wrappers=["gymnasium.wrappers.FlattenObservation"]), "has no wrappers"),
    ]:
        with pytest.raises(ValueError, match=message):
            kg.agents.PPO(env, vectorization="compiled", **PPO)

    class Texts(Counter):
        observation_space = Discrete(5)

        def observation(self, state):
            return ops.cast(state["count"], "int64")

    assert learned("PPO", Texts(), "compiled").steps == 192


@pytest.mark.exhaustive
def test_other_agents_step_it():
    agent = kg.agents.SAC(
        "Pendulum-v1", vectorization="compiled", hidden_units=(8,), epoch_steps=32, learning_starts=16, seed=0
    )
    agent.learn(32, verbose=0)
    assert not agent.is_compiled and agent.evaluate(2).lengths == (200, 200)


@pytest.mark.exhaustive
def test_memory_is_flat():
    agent = kg.agents.PPO(
        "CartPole-v1", vectorization="compiled", **PPO | {"num_envs": 64, "n_steps": 128} | {"batch_size": 8192}
    )
    agent.learn(500_000, verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    agent.learn(10_000_000, verbose=0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
