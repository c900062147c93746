"""Agents with seeds of their own: each learns what it learns alone."""

import numpy as np
import pytest

import kgdists as kg
from kgdists.agents.seeds import Seeds
from tests.agents.test_compiled_training import PPO, assert_same
from tests.envs.functional.test_stepping import without_xla  # noqa: F401

COMPILED = PPO | {"vectorization": "compiled"}
RATES, BONUSES = [1e-3, 3e-4, 1e-3], [0.0, 0.0, 0.02]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["PPO", "A2C", "REINFORCE"])
def test_each_learns_what_it_learns_alone(name):
    cls = getattr(kg.agents, name)
    settings = {"hidden_units": (8,), "num_envs": 4, "vectorization": "compiled"}
    settings |= {"PPO": {"n_steps": 16, "batch_size": 32}, "A2C": {"epoch_steps": 60}, "REINFORCE": {}}[name]
    seeds = cls("CartPole-v1", num_seeds=3, seed=4, learning_rate=RATES, ent_coef=np.array(BONUSES), **settings)
    histories = seeds.learn(120, verbose=0)
    assert isinstance(seeds, Seeds) and len(histories) == len(seeds.policies) == 3
    for i, (rate, bonus) in enumerate(zip(RATES, BONUSES, strict=True)):
        alone = cls("CartPole-v1", seed=4 + i, learning_rate=rate, ent_coef=bonus, **settings)
        alone.learn(120, verbose=0)
        assert_same(alone, seeds.agents[i])
        assert alone.policies == [alone.policy] and type(seeds.policies[i]) is kg.Policy
    first, second = (agent.policy.get_weights()[0] for agent in seeds.agents[:2])
    assert (first != second).any()


def test_one_program_is_compiled_for_all():
    seeds = kg.agents.PPO("CartPole-v1", num_seeds=3, **COMPILED)
    seeds.learn(64, verbose=0)
    programs = [list(agent.program.compiled._compiled.values())[0] for agent in seeds.agents]
    assert len({id(concrete) for concrete, _, _ in programs}) == 1 and [x is None for _, _, x in programs] == [1, 0, 0]


@pytest.mark.exhaustive
def test_settings_that_are_part_of_the_program_make_others():
    seeds = kg.agents.PPO("CartPole-v1", num_seeds=2, clip_range=[0.1, 0.3], **COMPILED)
    seeds.learn(64, verbose=0)
    programs = [list(agent.program.compiled._compiled.values())[0][0] for agent in seeds.agents]
    assert programs[0] is not programs[1] and [agent.config.clip_range for agent in seeds.agents] == [0.1, 0.3]


@pytest.mark.exhaustive
def test_they_are_saved_and_loaded(tmp_path):
    seeds = kg.agents.PPO("CartPole-v1", num_seeds=2, **COMPILED)
    seeds.learn(64, verbose=0)
    seeds.save(tmp_path)
    loaded = Seeds.load(kg.agents.PPO, tmp_path)
    assert loaded.steps == seeds.steps == 128
    for own in (seeds, loaded):
        own.learn(64, lambda agent: [kg.agents.Checkpoints(agent, tmp_path / f"{id(agent)}")], verbose=0)
    for agent, other in zip(seeds.agents, loaded.agents, strict=True):
        assert_same(agent, other)
        assert agent.checkpoint.is_file()
    assert [type(x).__name__ for x in loaded.evaluate(2, seed=0)] == ["Evaluation"] * 2
    assert kg.agents.load(tmp_path / "seed_1").config.seed == 1


@pytest.mark.exhaustive
def test_an_error_of_one_is_raised_when_the_others_are_done():
    seeds = kg.agents.PPO("CartPole-v1", num_seeds=2, **COMPILED)
    seeds.learn(64, verbose=0)
    kernel = seeds.policies[0].trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan, "float32"))
    with pytest.raises(FloatingPointError, match="diverged after 64 steps: the policy's distribution"):
        seeds.learn(640, verbose=0)
    assert seeds.agents[1].steps == 704 and seeds.agents[1].is_sound


def test_what_is_mistyped_is_told():
    make = lambda **options: kg.agents.PPO("CartPole-v1", **COMPILED | {"num_seeds": 2} | options)  # noqa: E731
    with pytest.raises(ValueError, match="`num_seeds` must be an int >= 1"):
        make(num_seeds=0)
    with pytest.raises(ValueError, match="`learning_rate` must be one value, or one for each of 2 seeds"):
        make(learning_rate=[1e-3])
    with pytest.raises(ValueError, match="make their own networks. Received: policy"):
        make(policy=object())
    with pytest.raises(ValueError, match="need environments of their own"):
        kg.agents.PPO(kg.envs.CompiledVectorEnv(kg.envs.compiled("CartPole-v1"), 2), num_seeds=2)
    with pytest.raises(ValueError, match="`callbacks` must be None, or a function of an agent"):
        make().learn(64, [kg.agents.StopOnSignal()])
    with pytest.raises(ValueError, match="`total_steps` must be one number, or one for each agent"):
        make().learn([64])
    with pytest.raises(TypeError, match="PPO has no argument `lr`: did you mean `learning_rate`"):
        make(lr=3)
    with pytest.raises(ValueError, match="run folders of seeds"):
        Seeds.load(kg.agents.PPO, "nowhere")


@pytest.mark.exhaustive
def test_searches_have_seeds_too():
    settings = {"searcher": "snes", "popsize": 16, "hidden_units": (4,), "vectorization": "compiled"}
    seeds = kg.agents.ES("CartPole-v1", num_seeds=2, seed=0, **settings)
    seeds.learn(64, verbose=0)
    alone = kg.agents.ES("CartPole-v1", seed=1, **settings)
    alone.learn(64, verbose=0)
    assert_same(alone, seeds.agents[1])


def test_an_interrupt_stops_all(monkeypatch):
    seeds = kg.agents.PPO("CartPole-v1", num_seeds=2, **COMPILED)

    def interrupted(trainings):
        raise KeyboardInterrupt

    monkeypatch.setattr("kgdists.agents.seeds.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seeds.learn(10_000_000, verbose=0)
    assert all(agent.steps < 10_000_000 for agent in seeds.agents)


@pytest.mark.exhaustive
def test_python_environments_have_a_process_for_each_processor(tmp_path):
    settings = {"num_envs": 2, "n_steps": 16, "batch_size": 32, "hidden_units": (8,)}
    seeds = kg.agents.PPO("Pendulum-v1", num_seeds=2, seed=0, **settings)
    policies = seeds.policies
    histories = seeds.learn(64, lambda agent: [kg.agents.Checkpoints(agent, tmp_path / f"{agent.config.seed}")])
    assert [history.history["steps"] for history in histories] == [[32.0, 64.0]] * 2
    seeds.learn(32, verbose=0)
    alone = kg.agents.PPO("Pendulum-v1", seed=1, **settings)
    alone.learn(96, verbose=0)
    # The same to the last bit, but once in seven runs on a busy machine another process rounded otherwise.
    assert_same(alone, seeds.agents[1], rtol=1e-4, atol=1e-9)
    assert all(x is y for x, y in zip(policies, seeds.policies, strict=True)) and (tmp_path / "1").is_dir()
