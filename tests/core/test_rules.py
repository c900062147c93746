"""What settings may be, and what is said of others."""

import math

import numpy as np
import pytest
from keras.optimizers.schedules import PolynomialDecay

from kgdists.core import rules
from kgdists.core.choices import BOX_FAMILY_NAMES, SEARCHER_NAMES
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.spaces import BOX_FAMILIES

UNIT = rules.numbers("in [0, 1]", lambda x: 0.0 <= x <= 1.0)
RATE = rules.numbers("a finite number > 0", lambda x: 0.0 < x < math.inf, or_schedule=True)

WRONG = [
    (rules.counts(), 0, "`x` must be an int >= 1. Received: x=0"),
    (rules.counts(), True, "`x` must be an int >= 1. Received: x=True"),
    (rules.counts(0, 9).or_none(), 10, "`x` must be None or an int from 0 to 9. Received: x=10"),
    (UNIT, 1.5, "`x` must be in [0, 1]. Received: x=1.5"),
    (UNIT, math.nan, "`x` must be in [0, 1]. Received: x=nan"),
    (UNIT, math.inf, "`x` must be in [0, 1]. Received: x=inf"),
    (UNIT, "1", "`x` must be in [0, 1]. Received: x='1'"),
    (RATE, 0, "`x` must be a finite number > 0 or a LearningRateSchedule. Received: x=0"),
    (RATE, PolynomialDecay(math.nan, 5), "`x` must be a schedule of finite numbers >= 0."),
    (rules.one_of(["a", "b"]), "c", "`x` must be one of a, b. Received: x='c'"),
    (rules.one_of(["a", "b"]), None, "`x` must be one of a, b. Received: x=None"),
    (rules.flag(), 1, "`x` must be True or False. Received: x=1"),
    (rules.names(), "abc", "`x` must be a tuple of names. Received: x='abc'"),
    (rules.names(), (1,), "`x` must be a tuple of names. Received: x=(1,)"),
    (rules.widths(), (8, 0), "`x` must be a tuple of ints >= 1. Received: x=(8, 0)"),
]
GOOD = [
    (rules.counts(), np.int64(3), 3),
    (rules.counts().or_none(), None, None),
    (UNIT, 1, 1),
    (RATE, 1, 1.0),
    (rules.widths(), [8, np.int64(4)], (8, 4)),
    (rules.names(), ["a"], ("a",)),
    (rules.flag().or_none(), None, None),
]


@pytest.mark.parametrize(("rule", "value", "text"), WRONG)
def test_what_breaks_a_rule_is_told(rule, value, text):
    with pytest.raises(ValueError) as raised:
        rule("x", value)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize(("rule", "value", "kept"), GOOD)
def test_what_a_rule_takes_is_kept_as_python_s_own(rule, value, kept):
    assert rule("x", value) == kept and type(rule("x", value)) is type(kept)


def test_the_names_of_choices_are_those_of_what_there_is():
    assert tuple(BOX_FAMILIES) == BOX_FAMILY_NAMES and tuple(SEARCHERS) == SEARCHER_NAMES
