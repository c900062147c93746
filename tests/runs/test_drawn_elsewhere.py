import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import kgdists as kg
from kgdists.runs import drawn_elsewhere
from kgdists.runs.drawn_elsewhere import DrawnElsewhere, source_elsewhere
from kgdists.runs.recording import record
from tests.cli.helpers import policy, registered
from tests.runs.test_recording import Screen

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def cart():
    env = DrawnElsewhere(gymnasium.make("CartPole-v1", render_mode="rgb_array"), gymnasium.spec("CartPole-v1"))
    yield env
    env.close()


def test_the_twin_plays_and_draws_what_the_environment_would(cart):
    beside = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    for env in (cart, beside):
        env.reset(seed=3)
    for action in (0, 1, 1):
        expected, got = beside.step(action), cart.step(action)
        np.testing.assert_array_equal(got[0], expected[0])
        assert got[1:4] == expected[1:4]
    np.testing.assert_array_equal(cart.render(), beside.render())
    with pytest.raises(AssertionError, match="invalid"):  # of the environment
        cart.step(7)


def test_a_process_that_dies_is_told_in_one_line(cart):
    cart._process.kill()
    with pytest.raises(ValueError, match="process that draws an environment must live. Received: status -9"):
        cart.reset(seed=0)


@pytest.mark.exhaustive
def test_a_film_is_the_same_wherever_it_is_drawn(tmp_path, monkeypatch):
    player, made = policy(inputs=4), []
    monkeypatch.setattr(DrawnElsewhere, "__init__", noted(DrawnElsewhere.__init__, made))
    for name, modules in (("here.gif", ()), ("there.gif", ("gymnasium",))):
        monkeypatch.setattr(drawn_elsewhere, "OPENGL", modules)
        record(player, "CartPole-v1", tmp_path / name, max_steps=9)
    assert len(made) == 1
    assert (tmp_path / "here.gif").read_bytes() == (tmp_path / "there.gif").read_bytes()


def noted(method, calls):
    def wrapped(self, *arguments):
        calls.append(self)
        method(self, *arguments)

    return wrapped


def test_a_process_is_for_opengl_and_for_what_it_can_make(monkeypatch):
    spec = gymnasium.spec("CartPole-v1")
    for module in drawn_elsewhere.OPENGL:
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert source_elsewhere("CartPole-v1", spec) is None
    monkeypatch.setitem(sys.modules, "mujoco", None)
    assert source_elsewhere("CartPole-v1", spec) == spec
    assert source_elsewhere("gymnasium:CartPole-v1", spec) == "gymnasium:CartPole-v1"
    assert source_elsewhere("Local-v0", EnvSpec("Local-v0", "__main__:Local")) is None
    assert source_elsewhere("Local-v0", EnvSpec("Local-v0", "local:Local", kwargs={"reward": lambda x: x})) is None
    with registered(Screen) as name:
        assert source_elsewhere(name, gymnasium.spec(name)) is None  # a class of this process


@pytest.mark.exhaustive
def test_mujoco_is_filmed_without_a_display_or_a_graphics_card(tmp_path, monkeypatch):
    pytest.importorskip("mujoco")
    for variable in ("DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(variable, raising=False)
    player = kg.agents.ES("InvertedPendulum-v5", popsize=2, seed=0).policy
    evaluation = record(player, "InvertedPendulum-v5", tmp_path / "film.gif", max_steps=3)
    assert evaluation.lengths == (3,) and (tmp_path / "film.gif").exists()
