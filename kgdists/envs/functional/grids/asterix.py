"""Asterix on a grid: gold to collect, and enemies to evade."""

from typing import Any

from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.grids.grid import SIZE, STICKY, Grid, cells

__all__ = ["Asterix"]

STAY, LEFT, UP, RIGHT, DOWN = range(5)
NUM_LANES = 8
LAST = SIZE - 1
SPAWN_EACH, MOVE_EACH, FASTER_AFTER = 10, 5, 100  # steps at the start
GOLD = 1.0 / 3.0


class Asterix(Grid):
    """MinAtar's Asterix: gold is worth 1, an enemy ends the episode; they come ever faster from both sides.

    Actions are stay, left, up, right, down.

    Parameters
    ----------
    sticky_action_prob : float, in [0, 1]
        With which the last action is taken once more.
    """

    id = "kgdists/Asterix-v0"

    def __init__(self, sticky_action_prob: float = STICKY) -> None:
        super().__init__(5, ("player", "enemy", "trail", "gold"), sticky_action_prob)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        numbers = {
            "x": 5,
            "y": 5,
            "spawn_each": SPAWN_EACH,
            "spawn_in": SPAWN_EACH,
            "move_each": MOVE_EACH,
            "move_in": MOVE_EACH,
            "faster_in": FASTER_AFTER,
            "level": 0,
            "collected": 0,
            "last_action": 0,
        }
        flags = ("is_there", "goes_right", "is_gold")
        return {
            **{name: ops.full((num_envs,), value, "int32") for name, value in numbers.items()},
            **{name: ops.zeros((num_envs, NUM_LANES), "bool") for name in flags},
            "thing_x": ops.zeros((num_envs, NUM_LANES), "int32"),
            "is_lost": ops.zeros((num_envs,), "bool"),
        }

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        of_action, of_things = random.split(seed, 2)
        action = self.taken(state, action, of_action)
        spawns = state["spawn_in"] == 0
        things = self._spawned(state, spawns, of_things)
        spawn_in = ops.where(spawns, state["spawn_each"], state["spawn_in"])
        x = state["x"] - ops.cast(action == LEFT, "int32") + ops.cast(action == RIGHT, "int32")
        y = state["y"] - ops.cast(action == UP, "int32") + ops.cast(action == DOWN, "int32")
        x, y = ops.clip(x, 0, LAST), ops.clip(y, 1, NUM_LANES)
        things, gold, is_lost = _met(things, x, y)
        moves = state["move_in"] == 0
        move_in = ops.where(moves, state["move_each"], state["move_in"])
        moved = things["thing_x"] + ops.where(things["goes_right"], 1, -1) * ops.cast(moves, "int32")[:, None]
        is_there = things["is_there"] & (moved >= 0) & (moved <= LAST)
        # Where nothing moves, what the player meets has been met.
        things, more_gold, is_lost_now = _met(things | {"thing_x": moved, "is_there": is_there}, x, y)
        is_lost = is_lost | (is_lost_now & moves)
        return {
            **things,
            **_faster(state),
            "x": x,
            "y": y,
            "spawn_in": spawn_in - 1,
            "move_in": move_in - 1,
            "collected": gold + more_gold,
            "is_lost": is_lost,
            "last_action": action,
        }

    def _spawned(self, state, spawns, seed):
        """What comes along the lanes, with one more in an empty lane where `spawns`."""
        of_lane, of_side, of_kind = random.split(seed, 3)
        is_there = state["is_there"]
        num_envs = is_there.shape[0]
        order = ops.where(is_there, 0.0, random.uniform(is_there.shape, of_lane))
        chosen = ops.arange(NUM_LANES) == ops.argmax(order, axis=1)[:, None]
        new = chosen & ~is_there & spawns[:, None]
        from_left, is_gold = (random.uniform((num_envs, 1), key) < p for key, p in ((of_side, 0.5), (of_kind, GOLD)))
        return {
            "is_there": is_there | new,
            "thing_x": ops.where(new, ops.where(from_left, 0, LAST), state["thing_x"]),
            "goes_right": ops.where(new, from_left, state["goes_right"]),
            "is_gold": ops.where(new, is_gold, state["is_gold"]),
        }

    def observation(self, state: Any) -> Any:
        x, is_there = state["thing_x"], state["is_there"]
        lanes = ops.broadcast_to(_lanes(), x.shape)
        behind = x - ops.where(state["goes_right"], 1, -1)
        return self.picture(
            {
                "player": cells(state["y"], state["x"]),
                "enemy": cells(lanes, x, is_there & ~state["is_gold"]),
                "trail": cells(lanes, behind, is_there),
                "gold": cells(lanes, x, is_there & state["is_gold"]),
            }
        )

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return ops.cast(next_state["collected"], "float32")

    def terminal(self, state: Any) -> Tensor:
        return state["is_lost"]


def _lanes():
    return ops.arange(1, NUM_LANES + 1, dtype="int32")


def _met(things, x, y):
    """What is left of the things, how much gold the player is at, and whether at an enemy."""
    at = things["is_there"] & (things["thing_x"] == x[:, None]) & (_lanes() == y[:, None])
    gold = at & things["is_gold"]
    is_lost = ops.any(at & ~things["is_gold"], axis=1)
    return things | {"is_there": things["is_there"] & ~gold}, ops.sum(ops.cast(gold, "int32"), axis=1), is_lost


def _faster(state):
    """Speeds after a step: every 102 steps more things come, and every other time they move faster, up to a limit."""
    spawn_each, move_each, level = state["spawn_each"], state["move_each"], state["level"]
    rises = (spawn_each > 1) | (move_each > 1)
    now = rises & (state["faster_in"] < 0)
    faster_in = ops.where(now, FASTER_AFTER, state["faster_in"] - ops.cast(rises & ~now, "int32"))
    moves_faster = now & (move_each > 1) & (level % 2 == 1)
    return {
        "move_each": move_each - ops.cast(moves_faster, "int32"),
        "spawn_each": spawn_each - ops.cast(now & (spawn_each > 1), "int32"),
        "level": level + ops.cast(now, "int32"),
        "faster_in": faster_in,
    }
