"""Films of a policy at play."""

import contextlib
import functools
import importlib.util
import itertools
import math
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.wrappers import RecordVideo, RenderCollection
from keras import tree

from kgdists.core.checks import count
from kgdists.core.extras import brought_by
from kgdists.core.files import atomic_write
from kgdists.core.types import Integer
from kgdists.envs.array_observations import Encoding
from kgdists.envs.evaluation import Evaluation, step_limit
from kgdists.envs.make import make_env
from kgdists.envs.play import play
from kgdists.envs.player import make_player
from kgdists.envs.registered import make_registered
from kgdists.envs.rollout import copied
from kgdists.envs.sync_envs import SyncEnvs
from kgdists.policy import Policy
from kgdists.runs.drawn_elsewhere import DrawnElsewhere, source_elsewhere
from kgdists.runs.pixels import Pixels
from kgdists.spaces import check_fits

with brought_by("agents"):
    from PIL import Image

__all__ = ["record"]

MAX_FPS, COLORS = 25, 64  # of a GIF, whose frames are shown for whole hundredths of a second


def record(
    policy: Policy,
    env: str | Callable[..., gymnasium.Env] | gymnasium.Env,
    file: str | Path,
    *,
    episodes: Integer = 1,
    deterministic: bool = True,
    max_steps: Integer | None = None,
    seed: Integer = 0,
    encoding: Encoding | None = None,
) -> Evaluation:
    """Write a film of a policy's episodes.

    Parameters
    ----------
    policy : kgdists.Policy
    env : str, callable or gymnasium.Env
        An id, a function that makes one environment of the render mode `"rgb_array"`, or such a one itself.
    file : str or path
        Ending in `.gif` or, if moviepy is installed, `.mp4`. The whole file takes its place at once.
    episodes : int, >= 1
        Shown one after the other.
    deterministic : bool
        Take the most probable action, or draw one.
    max_steps : None or int, >= 1
        Steps after which an episode is cut off; None: 10,000, but no less than the limit of the environment.
    seed : int, >= 0
        Of the environment and of drawn actions: the same film each time.
    encoding : None or kgdists.envs.array_observations.Encoding
        How the policy's observations became arrays, `Encoding.of(vars(agent.config))`; None is the default.

    Returns
    -------
    Evaluation
        Returns and lengths of the episodes shown.

    Raises
    ------
    ValueError
        If the environment cannot be rendered to arrays, or there is no folder for the file.
    ImportError
        For an `.mp4` without moviepy.

    Examples
    --------
    >>> import tempfile, kgdists as kg
    >>> from kgdists.runs import record
    >>> policy = kg.agents.ES("CartPole-v1", popsize=2, seed=0).policy
    >>> record(policy, "CartPole-v1", tempfile.mkdtemp() + "/film.gif", max_steps=5).lengths
    (5,)
    """
    episodes, seed = count("episodes", episodes), count("seed", seed, least=0)
    max_steps = None if max_steps is None else count("max_steps", max_steps)
    file = Path(file)
    if file.suffix not in (".gif", ".mp4"):
        raise ValueError(f"`file` must end in .gif or .mp4. Received: file={str(file)!r}")
    if not file.parent.is_dir():
        raise ValueError(f"`file` must be in a folder that exists. Received: file={str(file)!r}")
    if file.suffix == ".mp4" and importlib.util.find_spec("moviepy") is None:
        raise ImportError("An .mp4 needs moviepy, which `pip install 'kgdists[record]'` brings; a .gif does without")
    single = _rendering(env, encoding)
    with contextlib.closing(single), tempfile.TemporaryDirectory(prefix="partial-", dir=file.parent) as folder:
        aside = Path(folder) / "film"
        _check_policy(policy, single)
        act, limit = make_player(policy, deterministic, seed)(), step_limit(single, max_steps)

        def play_in(filmed: gymnasium.Env) -> Evaluation:
            return play(SyncEnvs([lambda: filmed]), act, episodes, seed, limit)

        if file.suffix == ".gif":
            evaluation = _record_gif(single, play_in, aside)
        else:
            evaluation = _record_video(single, play_in, aside)
        with atomic_write(file) as partial:
            shutil.move(next(aside.iterdir()), partial)
    return evaluation


def _rendering(env, encoding):
    """The environment, which is seen to be drawn."""
    try:
        preprocessing = "none" if encoding is None else encoding.preprocessing
        drawn = functools.partial(_drawn, env, preprocessing) if isinstance(env, str) else env
        single = Pixels(make_env(drawn, encoding=encoding))
        single.reset(seed=0)
        single.render()
    except gymnasium.error.Error:
        raise
    except Exception as error:  # there is no end of what drivers raise
        raise ValueError(
            "An environment must render to arrays here to be recorded: `render()` of render mode 'rgb_array' gives "
            f"[height, width, 3]. Received: {env}, {type(error).__name__}: {error}{_hint(env, error)}"
        ) from error
    return single


def _hint(env, error):
    """What else there is to say of an environment that cannot be drawn."""
    if "OpenGL" in str(error):
        return " (without a display MuJoCo needs MUJOCO_GL=egl and a driver for it)"
    with contextlib.suppress(Exception):
        modes = make_registered(env).metadata.get("render_modes", [])
        if "rgb_array" not in modes:
            return f" (it has the render modes {modes})"
    return ""


def _drawn(env, preprocessing):
    """An environment of an id, of the render mode `"rgb_array"`, or its twin in a process of its own."""
    single = make_registered(env, preprocessing, render_mode="rgb_array")
    source = source_elsewhere(env, single.spec)
    return single if source is None else DrawnElsewhere(single, source)


def _check_policy(policy, single):
    observation, _ = single.reset(seed=0)
    try:
        check_fits(policy(_batch(observation)), single.action_space)
    except ValueError as error:
        raise ValueError(f"A policy must fit its environment. Received: {single}: {error}") from error


def _batch(observation):
    return copied(tree.map_structure(lambda x: np.asarray(x)[None], observation))


def _record_video(single, play_in, folder):
    video = RecordVideo(single, str(folder), lambda episode: episode == 0, video_length=sys.maxsize)
    evaluation = play_in(video)
    video.stop_recording()
    return evaluation


def _record_gif(single, play_in, folder):
    fps = single.metadata.get("render_fps", 30)
    stride = math.ceil(fps / MAX_FPS)
    film = _Film(RenderCollection(single, reset_clean=False), stride)
    evaluation = play_in(film)
    ticks = np.round(np.arange(len(film.images) + 1) * 100.0 * stride / fps).astype(int)
    durations = 10 * np.diff(ticks)
    durations[-1] += 1000  # before it starts again
    folder.mkdir()
    first, *others = film.images
    first.save(folder / "film.gif", save_all=True, append_images=others, duration=durations.tolist(), loop=0)
    return evaluation


class _Film(gymnasium.Wrapper):
    """Keeps every `stride`-th frame of a `RenderCollection`, in colors of a palette: a third of the memory."""

    def __init__(self, env: gymnasium.Env, stride: int) -> None:
        super().__init__(env)
        self.images: list[Image.Image] = []
        self._stride, self._count = stride, itertools.count()

    def step(self, action: Any) -> Any:
        returned = self.env.step(action)
        for frame in cast(list[np.ndarray], self.env.render()):
            if next(self._count) % self._stride == 0:
                self.images.append(Image.fromarray(frame).quantize(COLORS, dither=Image.Dither.NONE))
        return returned
