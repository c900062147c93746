import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from kgdists.agents import PPO, ActionMask, Checkpoints, make_envs
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.play import evaluate
from kgdists.envs.rollout import Rollouts
from kgdists.spaces import encode_mask
from tests.agents.helpers import Counter, Trap, small
from tests.marks import quick

eager = pytest.mark.usefixtures("eagerly")

SPACES = {
    "discrete": Discrete(4, start=-2),
    "multi_discrete": MultiDiscrete([3, 2], start=[1, 0]),
    "multi_discrete_rank_2": MultiDiscrete([[3, 2], [2, 4]]),
    "multi_binary": MultiBinary(4),
    "multi_binary_rank_2": MultiBinary((2, 2)),
    "dict": Dict(push=Box(-1.0, 1.0, (2,)), choose=Discrete(3), inner=Dict(bits=MultiBinary(2), move=Discrete(2))),
    "one_of": OneOf((Discrete(3), MultiBinary(2))),
    "tuple": Tuple((Discrete(3), Box(-1.0, 1.0, (1,)), MultiDiscrete([2, 3]))),
}
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
some_spaces = pytest.mark.parametrize("space", quick(["multi_discrete"], SPACES))


def drawn_mask(space, rng):
    """A random mask in Gymnasium's format that allows something."""
    match space:
        case Discrete():
            return one_of(space.n, rng)
        case MultiDiscrete():
            return tuple(drawn_mask(space[i], rng) for i in range(len(space.nvec)))
        case MultiBinary():
            return rng.integers(3, size=space.shape).astype("int8")
        case Dict():
            return {name: drawn_mask(branch, rng) for name, branch in space.items()}
        case Tuple() | OneOf():
            return tuple(drawn_mask(branch, rng) for branch in space.spaces)
    return None


def one_of(n, rng):
    mask = rng.integers(2, size=n).astype("int8")
    mask[rng.integers(n)] = 1
    return mask


def allows(space, mask, action):
    match space:
        case Discrete():
            return mask[action - space.start] == 1
        case MultiDiscrete():
            return all(allows(space[i], mask[i], action[i]) for i in range(len(space.nvec)))
        case MultiBinary():
            return np.all((mask == 2) | (mask == action))
        case Dict():
            return all(allows(branch, mask[name], action[name]) for name, branch in space.items())
        case Tuple():
            return all(map(allows, space.spaces, mask, action))
        case OneOf():
            return allows(space.spaces[action[0]], mask[action[0]], action[1])
    return True


class Masked(Counter):
    """A `Counter` that asserts that each action is one that the mask of its info allowed."""

    def __init__(self, action_space):
        super().__init__(length=5, action_space=action_space)

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, self.info()

    def step(self, action):
        assert allows(self.action_space, self.mask, action), f"{self.mask} does not allow {action}"
        return *super().step(action)[:-1], self.info()

    def info(self):
        self.mask = drawn_mask(self.action_space, self.np_random)
        return {"action_mask": self.mask}


# The wrapper


@each_space
def test_what_is_observed_is_in_the_observation_space(space):
    env = ActionMask(Masked(space))
    assert env.observation_space.contains(env.reset()[0])
    assert env.observation_space.contains(env.step(space.sample(mask=env.unwrapped.mask))[0])


@each_space
def test_the_mask_is_the_encoded_one(space):
    env = ActionMask(Masked(space))
    observation, info = env.reset()
    np.testing.assert_array_equal(observation["observation"], [1, 0])
    encoded = encode_mask(space, info["action_mask"])
    keras.tree.map_structure(np.testing.assert_array_equal, observation["action_mask"], encoded)


def test_a_mask_in_a_dict_observation_is_taken_out_of_it():
    env, raw = ActionMask(Trap()), Trap()
    observation, expected = env.reset(seed=0)[0], raw.reset(seed=0)[0]
    np.testing.assert_array_equal(observation["observation"], expected["observation"])
    np.testing.assert_array_equal(observation["action_mask"], expected["action_mask"])
    assert observation["action_mask"].dtype == bool


class Parts(Trap):
    """Observes more than one thing beside the mask."""

    def __init__(self):
        super().__init__("info")
        self.observation_space = Dict(action_mask=Box(0, 1, (4,), "int8"), near=self.observation_space, far=Discrete(3))

    def _next(self):
        observation, info = super()._next()
        return {"near": observation, "far": 1, **info}, {}


def test_the_rest_of_a_dict_observation_keeps_its_structure():
    env = ActionMask(Parts())
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert set(observation["observation"]) == {"near", "far"} and observation["observation"]["far"] == 1


def test_no_mask_rules_nothing_out():
    class Sometimes(Trap):
        def _next(self):
            observation, _ = super()._next()
            return observation, {"action_mask": None}

    observation, _ = ActionMask(Sometimes("info")).reset()
    np.testing.assert_array_equal(observation["action_mask"], [True] * 4)


def test_an_environment_without_a_mask_is_refused():
    with pytest.raises(WrongReturnError, match='Counter.* step 0 .*`"action_mask"` must be in .* Received: '):
        ActionMask(Counter()).reset()


BAD = {
    "NaN": [np.nan, 1, 1, 1],
    "negative": [-1, 1, 1, 1],
    "two": [2, 1, 1, 1],
    "half": [0.5, 1, 1, 1],
    "nothing allowed": [0, 0, 0, 0],
    "short": [1, 1, 1],
    "a column": [[1], [1], [1], [1]],
    "a row": [[1, 1, 1, 1]],
    "a word": "1111",
    "a dict": {"a": 1},
    "a set": {1},
    "a number": 1,
}


@pytest.mark.few(1)
@pytest.mark.parametrize("where", ["info", "observation"])
@pytest.mark.parametrize("mask", BAD.values(), ids=BAD)
def test_a_mask_that_is_none_names_the_environment_and_loses_nothing(mask, where, tmp_path, eagerly):
    class Wrong(Trap):
        left = 40

        def _next(self):
            Wrong.left -= 1
            observation, info = super()._next()
            if Wrong.left < 0:
                (info if where == "info" else observation)["action_mask"] = mask
            return observation, info

    agent = small(lambda: ActionMask(Wrong(where)))
    with pytest.raises(
        WrongReturnError, match=r"Trap|Wrong.*step \d+ of its episode: the action mask must be "
    ) as caught:
        agent.learn(96, [Checkpoints(agent, tmp_path)])
    assert "\n" not in str(caught.value) and agent.steps >= 16
    assert PPO.load(tmp_path, lambda: ActionMask(Trap(where))).steps == agent.steps


def test_taxi_has_its_mask_in_the_info():
    env = ActionMask(gymnasium.make("Taxi-v4"))
    observation, info = env.reset(seed=0)
    np.testing.assert_array_equal(observation["action_mask"], info["action_mask"] == 1)
    assert Discrete(500).contains(observation["observation"].item())


# Rollouts


def always_allowed(observations):
    return observations["action_mask"].argmax(axis=1).astype("int32")


def test_masks_in_dict_observations_are_found():
    space = make_envs(Trap, 2).single_observation_space
    assert space == ActionMask(Trap()).observation_space


def test_a_wrapped_environment_is_not_wrapped_again():
    for env in (lambda: ActionMask(Trap()), lambda: gymnasium.wrappers.TimeLimit(ActionMask(Trap("info")), 3)):
        assert make_envs(env, 1).single_observation_space == ActionMask(Trap()).observation_space


def test_a_rollout_holds_observations_and_masks_of_each_step():
    observations, actions, rewards, next_observations, terminated, _ = Rollouts(make_envs(Trap, 3), 12, seed=0).collect(
        always_allowed
    )
    assert observations["observation"].shape == next_observations["observation"].shape == (12, 3, 2)
    assert observations["action_mask"].shape == next_observations["action_mask"].shape == (12, 3, 4)
    np.testing.assert_array_equal(actions, observations["action_mask"].argmax(axis=-1))
    np.testing.assert_array_equal(terminated.all(axis=1), np.arange(12) % 5 == 4)
    for name in ("observation", "action_mask"):
        goes_on = np.arange(11) % 5 != 4
        np.testing.assert_array_equal(next_observations[name][:-1][goes_on], observations[name][1:][goes_on])
        assert np.any(next_observations[name][4] != observations[name][5])


def test_a_vector_env_of_masked_environments_is_taken():
    envs = SyncVectorEnv([lambda: ActionMask(Trap())] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert make_envs(envs, 2) is envs
    assert evaluate(envs, always_allowed, 4).lengths == (5,) * 4


def test_a_vector_env_whose_masks_are_not_kept_apart_is_refused():
    envs = SyncVectorEnv([Parts] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="`kgdists.agents.ActionMask`. Received: Dict"):
        make_envs(envs, 2)


# Agents


@pytest.mark.exhaustive
@some_spaces
def test_an_agent_only_takes_what_the_mask_allows(space):
    agent = small(lambda: ActionMask(Masked(space)), normalize_observations=True)
    agent.learn(16)
    agent.evaluate(4)
    agent.evaluate(4, deterministic=False)


@pytest.mark.exhaustive
@pytest.mark.parametrize("where", ["observation", "info"])
def test_a_masked_agent_is_never_trapped_and_learns_the_best_return(where):
    wrong = []

    class Watched(Trap):
        def step(self, action):
            result = super().step(action)
            wrong.append(self.wrong)
            return result

    make = (lambda: ActionMask(Watched("info"))) if where == "info" else Watched
    agent = small(make, num_envs=8, n_steps=16, batch_size=64, n_epochs=5, learning_rate=0.03)
    history = agent.learn(128 * 12).history
    assert set(history["length"]) == {5.0} and not any(wrong)
    assert agent.evaluate(20).returns == (5.0,) * 20


@eager
def test_a_prediction_follows_its_mask():
    agent = small(Trap)
    observation = np.zeros((4, 2))
    masks = np.eye(4, dtype="int8")
    for deterministic in (True, False):
        actions = agent.predict({"observation": observation, "action_mask": masks}, deterministic)
        np.testing.assert_array_equal(actions, [2, 3, 4, 5])
    action = agent.predict({"observation": observation[0], "action_mask": masks[3]})
    assert action == 5 and Trap.action_space.contains(action)


@eager
@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2,), (3,)), ((5, 2), (4,))], ids=str)
def test_observations_of_another_shape_are_refused(shapes):
    observation, mask = map(np.ones, shapes)
    with pytest.raises(ValueError, match="`observations` must have shape .* Received: "):
        small(Trap).predict({"observation": observation, "action_mask": mask})


@eager
def test_observations_without_their_mask_are_refused():
    with pytest.raises(ValueError, match="`observations` must have shape .* Received: "):
        small(Trap).predict(np.zeros(2))


@pytest.mark.exhaustive
@eager
@some_spaces
def test_a_masked_agent_is_saved(space, tmp_path):
    def make():
        return ActionMask(Masked(space))

    agent = small(make)
    agent.learn(16)
    agent.save(tmp_path)
    loaded, (observation, _) = PPO.load(tmp_path, make), make().reset()
    mine, theirs = (x.predict(observation, deterministic=False) for x in (agent, loaded))
    keras.tree.map_structure(np.testing.assert_array_equal, mine, theirs)
