"""What environments draw, as pixels of films."""

from typing import Any

import gymnasium
import numpy as np

__all__ = ["Pixels", "pixels"]

SMALL, ENLARGED = 32, 160  # sides of frames, in pixels


class Pixels(gymnasium.Wrapper):
    """Draws frames that films take, whatever numbers the environment draws: see `pixels`."""

    def render(self) -> Any:
        return pixels(self.env.render())


def pixels(frame: Any) -> np.ndarray:
    """Give what an environment drew as pixels.

    Parameters
    ----------
    frame : array [height, width, 3 or 4]
        Bytes, or numbers from 0 to 1, with or without opacity, as environments draw them.

    Returns
    -------
    uint8 array [height, width, 3]; of a frame of less than 32 pixels, such as a grid of cells, each is repeated.

    Raises
    ------
    ValueError
        For anything else.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] not in (3, 4):
        shape = f" and shape {list(frame.shape)}" if isinstance(frame, np.ndarray) else ""
        raise ValueError(f"a frame of type {type(frame).__name__}{shape}")
    frame = frame[:, :, :3]
    if frame.dtype != np.uint8:
        if not (np.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1):
            raise ValueError(f"a frame of {frame.dtype} beyond 0 to 1")
        frame = np.round(frame * 255.0).astype(np.uint8)
    repeats = 1 if max(frame.shape) >= SMALL else -(-ENLARGED // max(frame.shape))
    return frame.repeat(repeats, axis=0).repeat(repeats, axis=1)
