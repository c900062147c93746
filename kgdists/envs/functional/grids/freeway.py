"""Freeway on a grid: a chicken that crosses a road of eight lanes."""

from typing import Any

from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.grids.grid import SIZE, STICKY, Grid, cells

__all__ = ["Freeway"]

STAY, UP, DOWN = range(3)
NUM_CARS, FASTEST = 8, 5
COLUMN, BOTTOM = 4, SIZE - 1  # of the chicken; where it starts
STEPS_BETWEEN_MOVES, LAST_STEP = 3, 2500


class Freeway(Grid):
    """MinAtar's Freeway: each crossing is worth 1; a car takes the chicken back to the start.

    Actions are stay, up, down. Cars have speeds of 1 to 5 steps a cell, other ones after each crossing. An episode has
    2,501 steps.

    Parameters
    ----------
    sticky_action_prob : float, in [0, 1]
        With which the last action is taken once more.
    """

    id = "kgdists/Freeway-v0"

    def __init__(self, sticky_action_prob: float = STICKY) -> None:
        speeds = tuple(f"speed{i}" for i in range(1, FASTEST + 1))
        super().__init__(3, ("chicken", "car", *speeds), sticky_action_prob)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        speed = _speeds(num_envs, seed)
        return {
            "y": ops.full((num_envs,), BOTTOM, "int32"),
            "wait": ops.full((num_envs,), STEPS_BETWEEN_MOVES, "int32"),
            "left": ops.full((num_envs,), LAST_STEP, "int32"),
            "car_x": ops.zeros((num_envs, NUM_CARS), "int32"),
            "car_wait": ops.abs(speed),
            "car_speed": speed,
            "has_crossed": ops.zeros((num_envs,), "bool"),
            "last_action": ops.zeros((num_envs,), "int32"),
        }

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        of_action, of_speeds = random.split(seed, 2)
        action = self.taken(state, action, of_action)
        moves = (state["wait"] == 0) & (action != STAY)
        y = ops.clip(state["y"] + ops.where(action == UP, -1, 1) * ops.cast(moves, "int32"), 0, BOTTOM)
        wait = ops.where(moves, STEPS_BETWEEN_MOVES, state["wait"])
        has_crossed = y == 0
        y = ops.where(has_crossed, BOTTOM, y)
        anew = has_crossed[:, None]
        drawn = _speeds(y.shape[0], of_speeds)
        speed = ops.where(anew, drawn, state["car_speed"])
        car_wait = ops.where(anew, ops.abs(drawn), state["car_wait"])
        drives = car_wait == 0
        x = state["car_x"]
        driven = ops.mod(x + ops.where(drives, ops.sign(speed), 0), SIZE)
        is_hit = (_lanes() == y[:, None]) & ((x == COLUMN) | (driven == COLUMN))
        return {
            "y": ops.where(ops.any(is_hit, axis=1), BOTTOM, y),
            "wait": ops.maximum(wait - 1, 0),
            "left": state["left"] - 1,
            "car_x": driven,
            "car_wait": ops.where(drives, ops.abs(speed), car_wait - 1),
            "car_speed": speed,
            "has_crossed": has_crossed,
            "last_action": action,
        }

    def observation(self, state: Any) -> Any:
        x, speed = state["car_x"], state["car_speed"]
        lanes = ops.broadcast_to(_lanes(), x.shape)
        behind = ops.mod(x - ops.sign(speed), SIZE)
        trails = {f"speed{i}": cells(lanes, behind, ops.abs(speed) == i) for i in range(1, FASTEST + 1)}
        chicken = cells(state["y"], ops.full_like(state["y"], COLUMN))
        return self.picture({"chicken": chicken, "car": cells(lanes, x), **trails})

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return ops.cast(next_state["has_crossed"], "float32")

    def terminal(self, state: Any) -> Tensor:
        return state["left"] < 0


def _lanes():
    return ops.arange(1, NUM_CARS + 1, dtype="int32")


def _speeds(num_envs, seed):
    """Steps that each car takes for a cell, negative to the left: int32 [N, 8]."""
    of_size, of_sign = random.split(seed, 2)
    size = 1 + ops.cast(ops.floor(FASTEST * random.uniform((num_envs, NUM_CARS), of_size)), "int32")
    return ops.where(random.uniform((num_envs, NUM_CARS), of_sign) < 0.5, -size, size)
