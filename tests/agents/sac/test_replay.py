import numpy as np
import pytest

from kgdists.agents.sac.frame_replay import FrameReplay
from kgdists.agents.sac.replay import make_replay
from kgdists.agents.sac.replay_buffer import ReplayBuffer
from kgdists.core import memory

ACTION = np.zeros((1, 2), "float32")
IMAGE = np.zeros((1, 96, 96, 3), "uint8")
VECTOR = np.zeros((1, 3), "float32")
MASK = np.zeros((1, 4), bool)


@pytest.mark.parametrize(
    ("observation", "kind"),
    [
        (VECTOR, ReplayBuffer),
        ({"observation": VECTOR, "action_mask": MASK}, ReplayBuffer),
        ({"observation": VECTOR, "action_mask": (MASK, MASK)}, ReplayBuffer),
        (IMAGE, FrameReplay),
        (IMAGE.astype("float32"), FrameReplay),
        (np.zeros((1, 128), "uint8"), FrameReplay),
        ({"camera": IMAGE, "speed": VECTOR}, FrameReplay),
        ({"observation": IMAGE, "action_mask": MASK}, FrameReplay),
    ],
    ids=["vector", "masked", "masks", "image", "float image", "bytes", "dict", "masked image"],
)
def test_vectors_of_floats_are_rows_and_all_else_is_held_once(observation, kind, monkeypatch):
    assert type(make_replay((observation, ACTION), 20, 2)) is kind
    needed = kind.nbytes((observation, ACTION), 20, 2)
    monkeypatch.setattr(memory, "available", lambda: needed)
    with pytest.raises(memory.NotEnoughMemoryError, match="buffer_size"):
        make_replay((observation, ACTION), 20, 2)


@pytest.mark.parametrize("observation", [IMAGE, VECTOR], ids=["image", "vector"])
def test_bytes_are_counted_as_they_are_taken(observation):
    replay = make_replay((observation, ACTION), 41, 2)
    taken = [replay.rows] if isinstance(replay, ReplayBuffer) else [replay.steps.rows, *replay.frames.leaves]
    assert replay.nbytes((observation, ACTION), 41, 2) == sum(x.dtype.size * x.shape.num_elements() for x in taken)


def test_a_replay_that_does_not_fit_names_one_that_does(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    with pytest.raises(
        ValueError,
        match=r"must fit into memory, with a tenth to spare: it needs 27\.4 GiB, and 1\.0 GiB are there; "
        r"buffer_size=32000 fits\. Received: buffer_size=1000000$",
    ):
        make_replay((IMAGE, ACTION), 1_000_000, 1)
    assert make_replay((IMAGE, ACTION), 32_000, 1).capacity == 32_000


def test_where_not_one_step_fits_none_is_named(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 50_000)
    with pytest.raises(ValueError, match=r"0\.0 GiB are there\. Received: buffer_size=100$"):
        make_replay((IMAGE, ACTION), 100, 1)


def test_unknown_memory_is_not_checked(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: None)
    assert make_replay((VECTOR, ACTION), 100, 1).capacity == 100
