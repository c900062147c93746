"""TensorBoard's axis is environment steps, and its tags are grouped."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

import kgdists as kg
from kgdists.runs.metric_guide import MEANINGS, direction_of, group_of
from tests.agents.helpers import Noise, counters, small

pytestmark = pytest.mark.usefixtures("eagerly")


def scalars(folder):
    """Tag -> list of (step, value) of all event files in a folder."""
    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor).item()))
    return found


@pytest.mark.parametrize("board", [kg.agents.TensorBoard, keras.callbacks.TensorBoard])
def test_the_axis_is_environment_steps_and_tags_are_grouped(tmp_path, board):
    agent, folder = small(counters(4, 4)), tmp_path / "logs"
    evaluating = kg.agents.EvaluateAndKeepBest(Noise, tmp_path / "best.keras", episodes=2, every_steps=None)
    history = agent.learn(32, [evaluating, board(folder)], verbose=0).history
    agent.learn(16, board(folder), verbose=0)
    found = scalars(folder)
    assert found.keys() >= {"rollout/return", "rollout/length", "rollout/running_return", "rollout/steps_per_second"}
    assert found.keys() >= {"train/policy_loss", "train/entropy", "train/learning_rate", "evaluation/return"}
    assert {tag.partition("/")[0] for tag in found} == {"rollout", "train", "evaluation"}
    assert [step for step, _ in found["rollout/return"]] == [16, 32, 48]
    np.testing.assert_allclose([x for _, x in found["evaluation/return"]], history["evaluation_return"], rtol=1e-6)


def test_settings_of_keras_own_hold(tmp_path):
    agent = small(Noise)
    given = keras.callbacks.TensorBoard(tmp_path, histogram_freq=2)
    agent.learn(64, given, verbose=0)
    assert type(given) is keras.callbacks.TensorBoard
    (file,) = tmp_path.glob("train/events*")
    events = [event_pb2.Event.FromString(x) for x in tf.compat.v1.io.tf_record_iterator(str(file))]
    steps = {event.step for event in events for value in event.summary.value if "histogram" in value.tag}
    assert steps == {16, 48}


def test_a_search_has_one_too(tmp_path):
    search = kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0)
    search.learn(16, keras.callbacks.TensorBoard(tmp_path), verbose=0)
    assert {"rollout/best_fitness", "rollout/return", "train/stdev"} <= scalars(tmp_path).keys()


def test_every_metric_has_its_group_and_what_environments_tell_too():
    groups = {name: group_of(name) for name in (*MEANINGS, "is_success", "steps", "entropy_left")}
    assert set(groups.values()) == {"rollout", "train", "evaluation"}
    assert groups["is_success"] == "rollout" and groups["entropy_left"] == "train"
    assert all(direction_of(name) in (None, "max", "min") for name in groups)
