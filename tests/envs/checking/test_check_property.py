"""Whatever an environment is: a check reports, and finds an error where playing it ends with one, and nowhere else."""

import collections

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

import kgdists as kg
from kgdists.envs.checked_env import WrongReturnError
from kgdists.envs.make import make_env
from tests.envs.test_environments_property import environments


def plays(make, steps):
    """Whether agents can step an environment."""
    try:
        env = make_env(make)
        env.action_space.seed(0)
        env.reset(seed=0)
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
    except WrongReturnError:
        return False
    return True


def outcomes(count):
    """How many of so many environments had which findings."""
    found = collections.Counter()

    @seed(count)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(environments())
    @np.errstate(all="ignore")
    def check(make):
        report = kg.envs.check(make, steps=60)
        assert len(str(report).splitlines()) == len(report.findings) + 2
        assert report.is_good == plays(make, 60), report
        found.update([finding.name for finding in report.findings] or ["nothing"])

    check()
    return found


@pytest.mark.exhaustive
def test_a_check_finds_an_error_where_there_is_one():
    assert outcomes(100)["contract"] > 0
