"""What every distribution keeps on any backend: `KERAS_BACKEND=jax pytest tests/any_backend`."""

import numpy as np
import pytest

from kgdists.testing import check_distribution
from tests.marks import quick
from tests.table import DISTRIBUTIONS


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", quick(["normal", "categorical"], list(DISTRIBUTIONS)))
def test_every_distribution_passes_its_check(name):
    check_distribution(DISTRIBUTIONS[name]((2,), "float32", np.random.default_rng(0)))
