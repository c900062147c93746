"""Record steps of MinAtar's games, for the grids with their rules, into tests/golden/minatar.npz.

pip install minatar
python -m tests.golden.make_minatar [--steps 3000]
"""

import argparse
from pathlib import Path

import numpy as np
from minatar import Environment

FILE = Path(__file__).parent / "minatar.npz"


def breakout(env, last):
    bricks = env.brick_map[1:4].astype(bool)
    return {
        "paddle": env.pos,
        "x": env.ball_x,
        "y": env.ball_y,
        "dx": (-1, 1, 1, -1)[env.ball_dir],
        "dy": (-1, -1, 1, 1)[env.ball_dir],
        "last_x": env.last_x,
        "last_y": env.last_y,
        "bricks": bricks,
        "has_struck": env.strike,
        "is_lost": env.terminal,
        "last_action": last,
    }


def freeway(env, last):
    cars = np.array(env.cars)
    return {
        "y": env.pos,
        "wait": env.move_timer,
        "left": env.terminate_timer,
        "car_x": cars[:, 0],
        "car_wait": cars[:, 2],
        "car_speed": cars[:, 3],
        "has_crossed": False,
        "last_action": last,
    }


def asterix(env, last):
    things = [x or [0, 0, False, False] for x in env.entities]
    return {
        "x": env.player_x,
        "y": env.player_y,
        "spawn_each": env.spawn_speed,
        "spawn_in": env.spawn_timer,
        "move_each": env.move_speed,
        "move_in": env.move_timer,
        "faster_in": env.ramp_timer,
        "level": env.ramp_index,
        "collected": 0,
        "last_action": last,
        "is_there": [x is not None for x in env.entities],
        "thing_x": [x[0] for x in things],
        "goes_right": [bool(x[2]) for x in things],
        "is_gold": [bool(x[3]) for x in things],
        "is_lost": env.terminal,
    }


GAMES = {"breakout": breakout, "freeway": freeway, "asterix": asterix}
BOOLS = ("bricks", "has_struck", "is_lost", "has_crossed", "is_there", "goes_right", "is_gold")


def steps_of(name, num_steps, seed=0):
    """Name -> array [T, ...] of steps: states before and after, actions, rewards, ends, observations and new things."""
    game = Environment(name, sticky_action_prob=0.0)
    game.seed(seed)
    game.reset()
    env, state, rng = game.env, GAMES[name], np.random.default_rng(seed)
    actions = env.minimal_action_set()
    spawned = []
    if name == "asterix":
        spawn = env._spawn_entity

        def noted():
            before = [x is not None for x in env.entities]
            spawn()
            spawned.extend(
                (i, *env.entities[i][2:4]) for i, x in enumerate(env.entities) if x is not None and not before[i]
            )

        env._spawn_entity = noted
    rows = []
    for _ in range(num_steps):
        action = int(rng.integers(len(actions)))
        if name == "breakout" and rng.uniform() < 0.8:  # towards the ball, so that bricks are broken
            action = 1 if env.ball_x < env.pos else 2 if env.ball_x > env.pos else 0
        if name == "freeway" and rng.uniform() < 0.7:
            action = 1
        before = state(env, 0)
        spawned.clear()
        reward, terminal = env.act(actions[action])
        row = {f"before_{k}": x for k, x in before.items()} | {f"after_{k}": x for k, x in state(env, action).items()}
        row |= {"action": action, "reward": reward, "terminal": terminal, "observation": env.state()}
        row["spawned"] = [int(x) for x in spawned[0]] if spawned else [-1, 0, 0]
        rows.append(row)
        if terminal:
            game.reset()
    return {
        key: np.array([row[key] for row in rows]).astype(bool if key.split("_", 1)[-1] in BOOLS else "int32")
        for key in rows[0]
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="Record N steps of each game. Default: 3000.")
    steps = parser.parse_args().steps
    recorded = {}
    for name in GAMES:
        for key, x in steps_of(name, steps).items():
            small = np.packbits(x.astype(bool)) if key == "observation" else x.astype("int16") if x.dtype != bool else x
            recorded[f"{name}_{key}"] = small
    np.savez_compressed(FILE, **recorded)


if __name__ == "__main__":
    main()
