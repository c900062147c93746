"""Breakout on a grid: bricks that a ball breaks, and a paddle."""

from typing import Any

from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.grids.grid import SIZE, STICKY, Grid, cells

__all__ = ["Breakout"]

STAY, LEFT, RIGHT = range(3)
FIRST_ROW, NUM_ROWS = 1, 3  # of the bricks
BOTTOM = SIZE - 1


class Breakout(Grid):
    """MinAtar's Breakout: keep the ball in play; each brick is worth 1, and new ones come when all are broken.

    Actions are stay, left, right. Where the trail is not observed, neither is where the ball goes: an agent must
    remember.

    Parameters
    ----------
    observes_trail : bool
        Whether the last place of the ball is a channel.
    sticky_action_prob : float, in [0, 1]
        With which the last action is taken once more.
    """

    id = "kgdists/Breakout-v0"

    def __init__(self, observes_trail: bool = True, sticky_action_prob: float = STICKY) -> None:
        trail = ("trail",) if observes_trail else ()
        super().__init__(3, ("paddle", "ball", *trail, "brick"), sticky_action_prob)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        from_left = random.uniform((num_envs,), seed) < 0.5
        x, row = ops.where(from_left, 0, BOTTOM), ops.full((num_envs,), 3, "int32")
        return {
            "paddle": ops.full((num_envs,), 4, "int32"),
            "x": x,
            "y": row,
            "dx": ops.where(from_left, 1, -1),
            "dy": ops.ones((num_envs,), "int32"),
            "last_x": x,
            "last_y": row,
            "bricks": ops.ones((num_envs, NUM_ROWS, SIZE), "bool"),
            "has_struck": ops.zeros((num_envs,), "bool"),
            "is_lost": ops.zeros((num_envs,), "bool"),
            "last_action": ops.zeros((num_envs,), "int32"),
        }

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        action = self.taken(state, action, seed)
        paddle = state["paddle"] - ops.cast(action == LEFT, "int32") + ops.cast(action == RIGHT, "int32")
        paddle = ops.clip(paddle, 0, BOTTOM)
        x, y, dx, dy = state["x"] + state["dx"], state["y"] + state["dy"], state["dx"], state["dy"]
        dx = ops.where((x < 0) | (x > BOTTOM), -dx, dx)
        x = ops.clip(x, 0, BOTTOM)
        at_top, at_bottom = y < 0, y == BOTTOM
        met = cells(y, x)[:, FIRST_ROW : FIRST_ROW + NUM_ROWS] & state["bricks"]
        meets = ops.any(met, axis=(1, 2))
        breaks = meets & ~state["has_struck"]  # one at a time: a ball that has just broken one goes through the next
        bricks = state["bricks"] & ~(met & breaks[:, None, None])
        is_empty = ~ops.any(bricks, axis=(1, 2))
        bricks = bricks | (at_bottom & is_empty)[:, None, None]
        caught = at_bottom & (state["x"] == paddle)
        caught_at_edge = at_bottom & ~caught & (x == paddle)
        bounces = breaks | caught | caught_at_edge
        return {
            "paddle": paddle,
            "x": x,
            "y": ops.where(bounces, state["y"], ops.maximum(y, 0)),
            "dx": ops.where(caught_at_edge, -dx, dx),
            "dy": ops.where(at_top | bounces, -dy, dy),
            "last_x": state["x"],
            "last_y": state["y"],
            "bricks": bricks,
            "has_struck": meets,
            "is_lost": at_bottom & ~caught & ~caught_at_edge,
            "last_action": action,
        }

    def observation(self, state: Any) -> Any:
        num_envs = state["x"].shape[0]
        above, below = (ops.zeros((num_envs, rows, SIZE), "bool") for rows in (FIRST_ROW, BOTTOM - NUM_ROWS))
        return self.picture(
            {
                "paddle": cells(ops.full_like(state["paddle"], BOTTOM), state["paddle"]),
                "ball": cells(state["y"], state["x"]),
                "trail": cells(state["last_y"], state["last_x"]),
                "brick": ops.concatenate([above, state["bricks"], below], axis=1),
            }
        )

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        before, after = (ops.sum(ops.cast(x["bricks"], "float32"), axis=(1, 2)) for x in (state, next_state))
        return ops.maximum(before - after, 0.0)

    def terminal(self, state: Any) -> Tensor:
        return state["is_lost"]
