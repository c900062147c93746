"""What version 0.1 wrote still loads, acts and goes on; tests/golden/make_written_by_0_1.py made the files."""

import io
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import kgdists as kg
from tests import golden
from tests.golden.make_written_by_0_1 import OBSERVATIONS, RUNS, actions, weights
from tests.marks import quick
from tests.table import HEADS, HEADS_OF_0_1

FOLDER = Path(golden.__file__).parent / "written_by_0_1"

pytestmark = pytest.mark.usefixtures("eagerly")


def arrays(archive, name):
    with np.load(io.BytesIO(archive.read(name))) as found:
        return dict(found)


@pytest.mark.parametrize("name", quick(("a2c", "snes", "snes_constrained"), list(RUNS)))
def test_a_run_loads_acts_and_goes_on(tmp_path, name):
    env, cls, _ = RUNS[name]
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
        expected = arrays(archive, "expected.npz")
    agent = cls.load(tmp_path)
    np.testing.assert_allclose(actions(agent, env), expected["actions"], rtol=1e-5, atol=1e-6)
    agent.learn(32)
    assert agent.steps == expected["steps"]
    np.testing.assert_allclose(weights(agent), expected["weights"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS_OF_0_1)
def test_a_policy_of_every_head_loads_and_gives_the_same_distribution(tmp_path, name):
    with zipfile.ZipFile(FOLDER / "heads.zip") as archive:
        archive.extract(f"{name}.keras", tmp_path)
        expected = arrays(archive, f"{name}.npz")
    policy = keras.models.load_model(tmp_path / f"{name}.keras")
    assert type(policy.head) is HEADS[name][0] and isinstance(policy, kg.Policy)
    # Their temperature was no parameter then.
    params = policy(OBSERVATIONS).params
    leaves = [x for name, x in params.items() if name not in ("boltzmann_tau", "gumbel_tau")]
    assert len(leaves) == len(expected)
    for i, leaf in enumerate(leaves):
        np.testing.assert_allclose(leaf, expected[str(i)], rtol=1e-5, atol=1e-6)
