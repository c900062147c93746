"""Games on a grid: rule by rule as MinAtar has them, from its own states."""

import importlib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from keras import ops, tree

import kgdists as kg
from kgdists.envs.functional.grids.asterix import Asterix
from kgdists.envs.functional.grids.breakout import Breakout
from kgdists.envs.functional.grids.freeway import Freeway

GAMES = {"breakout": Breakout, "freeway": Freeway, "asterix": Asterix}
STEPS = np.load(Path(__file__).parents[2] / "golden" / "minatar.npz")


def steps_of(name):
    """Name -> array [T, ...] of the recorded steps of a game; see make_minatar.py."""
    steps = {key.removeprefix(f"{name}_"): STEPS[key] for key in STEPS.files if key.startswith(name)}
    steps = {key: x if x.dtype == bool or key == "observation" else x.astype("int32") for key, x in steps.items()}
    shape = len(steps["action"]), *GAMES[name]().observation_space.shape
    bits = np.unpackbits(steps["observation"])[: np.prod(shape)]
    return steps | {"observation": bits.reshape(shape).astype(bool)}


def states(steps, when):
    return {key.removeprefix(f"{when}_"): x for key, x in steps.items() if key.startswith(when)}


class Scripted(Asterix):
    """Things come where, and as what, they came in the record."""

    def __init__(self, spawned):
        super().__init__(sticky_action_prob=0.0)
        self.spawned = spawned

    def _spawned(self, state, spawns, seed):
        lane, from_left, is_gold = (self.spawned[:, i : i + 1] for i in range(3))
        new = np.arange(8) == lane
        old = {name: np.asarray(state[name]) for name in ("is_there", "thing_x", "goes_right", "is_gold")}
        assert (new.any(axis=1) <= np.asarray(spawns)).all() and not (new & old["is_there"]).any()
        return {
            "is_there": old["is_there"] | new,
            "thing_x": np.where(new, np.where(from_left, 0, 9), old["thing_x"]).astype("int32"),
            "goes_right": np.where(new, from_left > 0, old["goes_right"]),
            "is_gold": np.where(new, is_gold > 0, old["is_gold"]),
        }


def compare(name, steps):
    """Assert that each step leads where it led in the record."""
    env = Scripted(steps["spawned"]) if name == "asterix" else GAMES[name](sticky_action_prob=0.0)
    before, after = states(steps, "before"), states(steps, "after")
    reached = tree.map_structure(ops.convert_to_numpy, env.transition(before, steps["action"], kg.random.key(0)))
    crossed = steps["reward"] > 0 if name == "freeway" else np.zeros(len(steps["action"]), bool)
    for key, x in after.items():
        y = reached[key]
        if key in ("has_crossed", "collected"):  # what the reward is read off
            continue
        if key in ("car_speed", "car_wait"):  # drawn anew after a crossing
            drawn = np.abs(y[crossed]) + (key == "car_wait")  # a step of waiting has passed
            assert (drawn >= 1).all() and (drawn <= 5).all()
            x, y = x[~crossed], y[~crossed]
        if key in ("thing_x", "goes_right", "is_gold"):  # of things that are there
            x, y = x[after["is_there"]], y[after["is_there"]]
        np.testing.assert_array_equal(x, y, err_msg=key)
    np.testing.assert_array_equal(env.reward(before, steps["action"], reached), steps["reward"])
    np.testing.assert_array_equal(env.terminal(reached), steps["terminal"])
    np.testing.assert_array_equal(env.observation(after), steps["observation"])


@pytest.mark.parametrize("name", GAMES)
def test_the_rules_are_minatars(name):
    steps = steps_of(name)
    assert steps["reward"].max() == 1 and steps["terminal"].sum() > 0 or name == "freeway"
    compare(name, steps)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", GAMES)
def test_the_rules_are_minatars_for_long(name):
    pytest.importorskip("minatar")
    make = importlib.import_module("tests.golden.make_minatar")
    compare(name, make.steps_of(name, 100_000, seed=1))


@pytest.mark.parametrize("name", GAMES)
def test_the_last_action_is_repeated_as_often_as_it_should_be(name):
    env, num_envs = GAMES[name](), 20_000
    state = env.initial(num_envs, kg.random.key(0)) | {"last_action": np.full(num_envs, 1, "int32")}
    taken = ops.convert_to_numpy(env.taken(state, np.zeros(num_envs, "int64"), kg.random.key(1)))
    assert abs(np.mean(taken == 1) - 0.1) < 5 * np.sqrt(0.09 / num_envs)


def test_things_come_to_lanes_that_are_empty():
    env, num_envs = Asterix(sticky_action_prob=0.0), 30_000
    state = env.initial(num_envs, kg.random.key(0))
    taken = np.zeros((num_envs, 8), bool)
    taken[:, [1, 4]] = True
    state |= {"spawn_in": np.zeros(num_envs, "int32"), "is_there": taken, "thing_x": np.full((num_envs, 8), 9, "int32")}
    state |= {"x": np.full(num_envs, 5, "int32"), "goes_right": np.zeros((num_envs, 8), bool)}
    after = tree.map_structure(ops.convert_to_numpy, env.transition(state, np.zeros(num_envs, int), kg.random.key(2)))
    new = after["is_there"] & ~taken
    assert (new.sum(axis=1) == 1).all()
    shares = new.mean(axis=0)
    np.testing.assert_allclose(shares[[0, 2, 3, 5, 6, 7]], 1 / 6, atol=5 * np.sqrt(0.14 / num_envs))
    assert abs(after["goes_right"][new].mean() - 0.5) < 5 * np.sqrt(0.25 / num_envs)
    assert abs(after["is_gold"][new].mean() - 1 / 3) < 5 * np.sqrt(0.23 / num_envs)
    assert (after["thing_x"][new] == np.where(after["goes_right"][new], 0, 9)).all()
    full = state | {"is_there": np.ones((num_envs, 8), bool)}
    after = env.transition(full, np.zeros(num_envs, int), kg.random.key(2))
    np.testing.assert_array_equal(after["thing_x"], full["thing_x"])


def test_speeds_of_cars_are_uniform():
    state = Freeway().initial(20_000, kg.random.key(0))
    values, counts = np.unique(ops.convert_to_numpy(state["car_speed"]), return_counts=True)
    assert values.tolist() == [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(counts / counts.sum(), 0.1, atol=5 * np.sqrt(0.09 / counts.sum()))


def test_a_ball_without_a_trail_does_not_show_where_it_goes():
    env, blind = Breakout(), kg.envs.compiled("kgdists/BlindBreakout-v0")
    state = env.initial(4, kg.random.key(0))
    assert env.channels == ("paddle", "ball", "trail", "brick") and blind.channels == ("paddle", "ball", "brick")
    turned = state | {"dx": -state["dx"], "last_x": state["last_x"] + 1, "last_y": state["last_y"] - 1}
    np.testing.assert_array_equal(blind.observation(state), blind.observation(turned))
    assert (ops.convert_to_numpy(env.observation(state)) != ops.convert_to_numpy(env.observation(turned))).any()


@pytest.mark.parametrize("name", ["Breakout", "BlindBreakout", "Freeway", "Asterix"])
def test_grids_have_ids_and_pictures(name):
    env = gymnasium.make(f"kgdists/{name}-v0", render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    picture = env.render()
    assert (
        picture.shape == (160, 160, 3)
        and picture.dtype == "uint8"
        and len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
    )


def test_a_probability_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`sticky_action_prob` must be in \[0, 1\]. Received: 2"):
        Breakout(sticky_action_prob=2)
