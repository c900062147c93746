import importlib.util
import subprocess

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from PIL import Image

import kgdists as kg
from kgdists.envs import Encoding
from kgdists.runs.recording import record
from tests.agents.helpers import Trap
from tests.cli.helpers import policy, registered

pytestmark = pytest.mark.usefixtures("eagerly")


class Screen(gymnasium.Env):
    """Shows the step of the episode as the brightness of the screen, its left half the part of the seed."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    observation_space = Box(-np.inf, np.inf, (2,), "float32")
    action_space = Discrete(2)
    render_mode = "rgb_array"

    def __init__(self, render_mode="rgb_array", length=4):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.shade = 0, int(self.np_random.integers(4))
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), float(action), self.count == self.length, False, {}

    def render(self):
        frame = np.full((32, 32, 3), 40 * self.count % 240, "uint8")
        frame[:, :16] = 50 * self.shade
        return frame

    def _observation(self):
        return np.array([self.shade, self.count], "float32")


def frames(file):
    """The brightness of the right halves of a GIF's frames, those of the left ones, and how long each is shown."""
    right, left, shown = [], [], []
    with Image.open(file) as film:
        for i in range(film.n_frames):
            film.seek(i)
            frame = np.asarray(film.convert("L"))
            right.append(int(frame[5, 25]))
            left.append(int(frame[5, 5]))
            shown.append(film.info["duration"])
    return right, left, shown


def test_a_film_shows_every_step_at_the_environment_s_speed(tmp_path):
    evaluation = record(policy(), Screen, tmp_path / "film.gif")
    right, _, shown = frames(tmp_path / "film.gif")
    assert right == [0, 40, 80, 120, 160]
    assert shown == [50, 50, 50, 50, 1050]
    assert evaluation.lengths == (4,)
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_a_fast_environment_is_shown_by_every_other_frame(tmp_path, monkeypatch):
    monkeypatch.setitem(Screen.metadata, "render_fps", 50)
    record(policy(), Screen, tmp_path / "film.gif")
    assert frames(tmp_path / "film.gif")[::2] == ([0, 80, 160], [40, 40, 1040])


def test_odd_speeds_are_kept_on_the_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(Screen.metadata, "render_fps", 24)
    record(policy(), lambda: Screen(length=5), tmp_path / "film.gif")
    shown = frames(tmp_path / "film.gif")[2]
    assert set(shown[:-1]) == {40, 50} and sum(shown) == 1250


def test_several_episodes_are_shown_one_after_the_other(tmp_path):
    evaluation = record(policy(), Screen, tmp_path / "film.gif", episodes=2, max_steps=2)
    right, left, _ = frames(tmp_path / "film.gif")
    assert right == [0, 40, 80, 0, 40, 80] and len(set(left[:3])) == len(set(left[3:])) == 1
    assert evaluation.lengths == (2, 2)


@pytest.mark.few(1)
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_seed_is_a_film(tmp_path, deterministic):
    films, pi = {}, policy()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        file = tmp_path / f"{name}.gif"
        evaluation = record(pi, lambda: Screen(length=12), file, seed=seed, episodes=3, deterministic=deterministic)
        films[name] = (file.read_bytes(), evaluation)
    assert films["a"] == films["b"] and films["a"][0] != films["c"][0]


def test_drawn_actions_differ_from_the_most_probable(tmp_path):
    pi = policy()
    greedy, drawn = (
        record(pi, lambda: Screen(length=30), tmp_path / "film.gif", deterministic=x).returns for x in (True, False)
    )
    assert greedy != drawn and 0.0 < drawn[0] < 30.0


@pytest.mark.exhaustive
def test_an_mp4_is_written_by_gymnasium_s_recorder(tmp_path):
    with registered(Screen) as name:
        evaluation = record(policy(), name, tmp_path / "film.mp4", episodes=2)
    assert evaluation.lengths == (4, 4) and [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "film.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert b"32x32" in result.stderr and b"20 fps" in result.stderr
    brightness = np.frombuffer(result.stdout, "uint8").reshape(-1, 32, 32, 3)[:, 5, 25, 0]
    assert len(brightness) >= 9  # of 10: players and readers differ about the last
    np.testing.assert_allclose(brightness, (2 * [0, 40, 80, 120, 160])[: len(brightness)], atol=4)


def test_without_moviepy_there_are_gifs_only(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"An .mp4 needs moviepy, which `pip install 'kgdists\[record\]'` brings"):
        record(policy(), Screen, tmp_path / "film.mp4")
    record(policy(), Screen, tmp_path / "film.gif")


class MaskedScreen(Trap):
    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def render(self):
        return np.zeros((8, 8, 3), "uint8")


def test_masks_are_obeyed(tmp_path):
    agent = kg.agents.PPO(Trap, num_envs=1, n_steps=1, batch_size=1, hidden_units=(2,), seed=0)
    evaluation = record(agent.policy, MaskedScreen, tmp_path / "film.gif", episodes=3, deterministic=False)
    assert evaluation.lengths == (5, 5, 5)


class NestedScreen(Screen):
    observation_space = Dict(a=Box(0.0, 9.0, (1,)), b=Discrete(20))

    def _observation(self):
        return {"a": np.array([self.shade], "float32"), "b": self.count}


def test_nested_observations_are_flattened_for_a_policy_that_saw_them_so(tmp_path):
    flat = Encoding(is_flat=True)
    assert record(policy(inputs=21), NestedScreen, tmp_path / "film.gif", encoding=flat).lengths == (4,)


class Blind(Screen):
    def render(self):
        raise RuntimeError("no display")


class Silent(Screen):
    def render(self):
        return None


class Plain(Screen):
    def __init__(self):
        super().__init__()


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (Blind, "RuntimeError: no display"),
        (Silent, "NoneType"),
        (Plain, "render_mode"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*render_mode:UserWarning")
def test_what_cannot_be_rendered_is_refused_and_the_old_film_stays(tmp_path, env, reason):
    (tmp_path / "film.gif").write_text("old")
    with registered(env) as name, pytest.raises(ValueError, match=f"render to arrays.*Received: {name}.*{reason}"):
        record(policy(), name, tmp_path / "film.gif")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, "`episodes` must be an int >= 1. Received: episodes=0"),
        ({"max_steps": 0}, "`max_steps` must be an int >= 1. Received: max_steps=0"),
        ({"seed": -1}, "`seed` must be an int >= 0. Received: seed=-1"),
        ({"file": "film.avi"}, "`file` must end in .gif or .mp4. Received: file='film.avi'"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        record(policy(), Screen, **{"file": "film.gif"} | options)


def test_a_film_in_a_folder_that_is_not_there_is_refused_before_it_is_played(tmp_path):
    with pytest.raises(ValueError, match="`file` must be in a folder that exists. Received: file=.*nowhere"):
        record(policy(), Screen, tmp_path / "nowhere" / "film.gif")
