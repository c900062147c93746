"""Compiled environments as Gymnasium has them: started anew in time, seeded, refused where they are wrong."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from gymnasium.utils.env_checker import check_env
from keras import ops, tree

import kgdists as kg
from kgdists.core import compiled
from kgdists.envs.functional.actions import action_tensors

BOX = Box(-1.0, np.array([1.0, 2.0], "float32"))


@pytest.fixture(autouse=True)
def without_xla(request, monkeypatch):
    """Leave it to the exhaustive tests to compile by XLA, which takes seconds for each program."""
    if "exhaustive" not in request.node.keywords:
        monkeypatch.setattr(
            compiled, "by_xla_where_fast", lambda f, *x, **o: (compiled._concrete(f, False, x, o), True)
        )


class Counter(kg.envs.CompiledEnv):
    """Counts the steps of an episode from a number that is drawn; ends at 5, or after `max_episode_steps`."""

    observation_space = Box(-100.0, 100.0, (1,))
    action_space = Discrete(3)

    def __init__(self, max_episode_steps=None):
        self.max_episode_steps = max_episode_steps

    def initial(self, num_envs, seed):
        return {"count": ops.zeros(num_envs, "int32"), "drawn": kg.random.uniform((num_envs,), seed)}

    def transition(self, state, action, seed):
        return state | {"count": state["count"] + 1, "drawn": state["drawn"] + ops.cast(action, "float32")}

    def observation(self, state):
        return state["drawn"][:, None]

    def reward(self, state, action, next_state):
        return ops.cast(next_state["count"], "float32")

    def terminal(self, state):
        return state["count"] >= 5

    def info(self, state):
        return {"count": state["count"]}


def test_episodes_start_anew_in_the_step_that_ends_them():
    envs = kg.envs.CompiledVectorEnv(Counter(), 2)
    first, _ = envs.reset(seed=3)
    for t in range(1, 6):
        observations, rewards, terminated, truncated, infos = envs.step(np.array([0, 1]))
        assert rewards.tolist() == [t, t] and terminated.tolist() == [t == 5] * 2 and not truncated.any()
    assert infos["_final_obs"].all() and infos["final_info"]["count"].tolist() == [5, 5]
    np.testing.assert_allclose(np.stack(infos["final_obs"]), first + [[0.0], [5.0]], rtol=1e-6)
    assert ((0.0 < observations) & (observations < 1.0)).all() and (observations != first).all()
    assert envs.playing().lengths.numpy().tolist() == [0, 0]
    _, rewards, *_ = envs.step(np.array([0, 0]))
    assert rewards.tolist() == [1.0, 1.0] and envs.playing().returns.numpy().tolist() == [1.0, 1.0]


def test_a_limit_truncates():
    envs = kg.envs.CompiledVectorEnv(Counter(max_episode_steps=3), 1)
    envs.reset(seed=0)
    ends = [envs.step(np.zeros(1, int))[2:4] for _ in range(6)]
    assert [(bool(a[0]), bool(b[0])) for a, b in ends] == [(False, False), (False, False), (False, True)] * 2
    assert envs.spec.max_episode_steps == 3


def test_a_seed_gives_the_same_numbers_and_none_goes_on_with_them():
    def drawn(seed):
        envs = kg.envs.CompiledVectorEnv(Counter(), 3)
        numbers = [envs.reset(seed=seed)[0]]
        numbers += [envs.step(np.zeros(3, int))[0] for _ in range(7)]
        return np.array([*numbers, envs.reset()[0], envs.reset()[0]])

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1)[[0, 5, 8, 9]] != drawn(2)[[0, 5, 8, 9]]).all()
    one = drawn(1)
    assert len(np.unique(one[[0, 5, 8, 9]])) == 12  # each episode starts with numbers of its own
    assert (drawn(None)[0] != drawn(None)[0]).all()


@pytest.mark.exhaustive
def test_episodes_are_kept_and_gone_on_with():
    envs, others = (kg.envs.CompiledVectorEnv(kg.envs.compiled("kgdists/Asterix-v0"), 3) for _ in range(2))
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(5, size=(60, 3))
    for action in actions[:30]:
        envs.step(action)
    others.restore(envs.arrays())
    for action in actions[30:]:
        for x, y in zip(envs.step(action)[:4], others.step(action)[:4], strict=True):
            np.testing.assert_array_equal(x, y)
    with pytest.raises(ValueError, match="Episodes go on in environments of the same state"):
        kg.envs.CompiledVectorEnv(Counter(), 3).restore(envs.arrays())


@pytest.mark.exhaustive
def test_gymnasium_finds_no_fault():
    kg.envs.register("tests/Counter-v0", Counter)
    check_env(gymnasium.make("tests/Counter-v0").unwrapped, skip_render_check=True)
    env = gymnasium.make("tests/Counter-v0", max_episode_steps=2)
    env.reset(seed=0)
    assert env.step(1)[3] is False and env.step(1)[3] is True
    wrapped = gymnasium.wrappers.FlattenObservation(gymnasium.make("kgdists/Freeway-v0"))
    assert wrapped.reset(seed=0)[0].shape == (700,)


@pytest.mark.exhaustive
def test_check_looks_at_a_compiled_environment():
    report = kg.envs.check("kgdists/Breakout-v0", steps=200)
    assert report, str(report)
    assert kg.envs.check(lambda: kg.envs.CompiledGymEnv(Counter()), steps=100)


class Wrong(Counter):
    def __init__(self, **functions):
        super().__init__()
        for name, function in functions.items():
            setattr(self, name, function)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (lambda: Wrong(observation=lambda state: state["drawn"]), r"`observation` of Wrong must return what its space"),
        (lambda: Wrong(observation=lambda state: state["count"][:, None]), "Received: .*int32"),
        (
            lambda: Wrong(transition=lambda state, action, seed: {"count": state["count"]}),
            "`transition` must return states of one structure, shape and dtype",
        ),
        (
            lambda: Wrong(transition=lambda state, action, seed: state | {"count": state["drawn"]}),
            "`transition` must return states of one structure, shape and dtype",
        ),
        (
            lambda: Wrong(reward=lambda state, action, following: state["drawn"][:, None]),
            r"`reward` must return a tensor with one number for each environment, .* Received: shape \(2, 1",
        ),
        (
            lambda: Wrong(terminal=lambda state: ops.any(state["count"] > 3)),
            r"`terminal` must return a tensor with one number for each environment",
        ),
        (
            lambda: Wrong(reward=lambda state, action, following: 1.0 if state["count"][0] > 1 else 0.0),
            r"choose by `keras.ops.where`, not by Python's `if`",
        ),
        (kg.envs.CompiledEnv, r"`observation_space` of a compiled environment must be a gymnasium.spaces.Space"),
        (lambda: Counter(max_episode_steps=0), r"`max_episode_steps` must be None or an int >= 1"),
    ],
)
def test_what_an_environment_returns_is_checked(env, message):
    with pytest.raises(ValueError, match=message):
        kg.envs.CompiledVectorEnv(env(), 2)


def test_what_is_mistyped_is_told():
    envs = kg.envs.CompiledVectorEnv(Counter(), 2)
    with pytest.raises(ValueError, match="`reset` must be called before `step`"):
        envs.step(np.zeros(2, int))
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"`actions` must be a batch of 2 actions of Discrete\(3\)"):
        envs.step(np.zeros(3, int))
    with pytest.raises(ValueError, match="no options"):
        envs.reset(options={"low": 0})
    with pytest.raises(ValueError, match="`num_envs` must be an int >= 1"):
        kg.envs.CompiledVectorEnv(Counter(), 0)
    with pytest.raises(ValueError, match=r"one of Acrobot-v1, CartPole-v1, .*Received: .?Taxi-v3"):
        kg.envs.compiled("Taxi-v3")
    with pytest.raises(ValueError, match="has no wrappers"):
        kg.envs.compiled(kg.envs.EnvId("CartPole-v1", wrappers=["gymnasium.wrappers.FlattenObservation"]))
    with pytest.raises(ValueError, match="must be made with the arguments that it has"):
        kg.envs.compiled("CartPole-v1", gravity=1.0)
    with pytest.raises(ValueError, match="must be a subclass of CompiledEnv, or a function"):
        kg.envs.register("Wrong-v0", Counter())
    with pytest.raises(NotImplementedError, match="CompiledEnv must define `initial`"):
        kg.envs.CompiledEnv().initial(1, kg.random.key(0))
    with pytest.raises(ValueError, match="`render_mode` must be None or rgb_array"):
        kg.envs.CompiledGymEnv(Counter(), render_mode="human")


def test_actions_may_choose_between_spaces():
    class Chooses(Counter):
        action_space = OneOf([Discrete(3), BOX])

        def transition(self, state, action, seed):
            index, (_, push) = action
            return super().transition(state, ops.where(index == 1, push[:, 1], 0.0), seed)

    envs = kg.envs.CompiledVectorEnv(Chooses(), 2)
    first, _ = envs.reset(seed=0)
    second, *_ = envs.step(((1, np.array([0.0, 2.0], "float32")), (0, 2)))
    np.testing.assert_allclose(second - first, [[2.0], [0.0]], rtol=1e-5)


def test_an_id_with_a_limit_of_its_own():
    assert kg.envs.compiled(kg.envs.EnvId("CartPole-v1", max_episode_steps=7)).max_episode_steps == 7
    assert kg.envs.compiled(kg.envs.EnvId("kgdists/Freeway-v0", ["math"], ["sticky_action_prob=0.5"])).channels


# Actions.

SPACES = [
    Discrete(4),
    Discrete(3, start=-1),
    MultiDiscrete([2, 3]),
    MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [0, 2]]),
    MultiBinary(3),
    MultiBinary([2, 2]),
    BOX,
    Box(-np.inf, np.inf, (2, 2)),
    Box(0, 255, (3,), "uint8"),
    Box(-3, 4, (2,), "int32"),
    Box(np.array([0, 2**63], "uint64"), np.array([2**64 - 1] * 2, "uint64"), dtype="uint64"),
    Dict(move=Discrete(4), push=BOX),
    Tuple([Discrete(2), MultiBinary(2)]),
    Dict(a=Tuple([Discrete(2, start=5), BOX]), b=MultiDiscrete([3, 3])),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_actions_are_those_that_are_decoded(space):
    pi = kg.head_for(space, random_seed=0)(ops.ones((5, 2)))
    actions = pi.sample_action(seed=1)
    expected = kg.decode_action(space, tree.map_structure(ops.convert_to_numpy, actions))
    tensors = action_tensors(space, actions)
    for x, y in zip(tree.flatten(expected), tree.flatten(tensors), strict=True):
        y = ops.convert_to_numpy(y)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_actions_of_a_choice_between_spaces():
    space = OneOf([Discrete(3), BOX])
    actions = kg.head_for(space, random_seed=0)(ops.ones((6, 2))).sample_action(seed=1)
    expected = kg.decode_action(space, tree.map_structure(ops.convert_to_numpy, actions))
    index, values = tree.map_structure(ops.convert_to_numpy, action_tensors(space, actions))
    for i, (chosen, value) in enumerate(expected):
        assert index[i] == chosen
        np.testing.assert_array_equal(values[chosen][i], value)


def test_a_space_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"action_tensors.register.*Received: Text"):
        action_tensors(gymnasium.spaces.Text(3), ops.zeros((1,)))
