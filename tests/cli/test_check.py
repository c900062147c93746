import pytest

from kgdists.envs import check
from tests.cli.helpers import assert_one_line, kgdists, registered
from tests.envs.checking.helpers import Clean


def test_a_clean_environment_is_good(capsys):
    assert kgdists("check", "CartPole-v1", "--steps", 200, "--seed", 1) == 0
    out = capsys.readouterr().out
    assert out == f"{check('CartPole-v1', steps=200, seed=1)}\n" and out.splitlines()[-1] == "good"


def test_advice_leaves_the_status_at_0(capsys):
    class Wide(Clean):
        def observed(self):
            return 1.5 * super().observed()

    with registered(Wide) as env:
        assert kgdists("check", env, "--steps", 200) == 0
    _, advice, last = capsys.readouterr().out.splitlines()
    assert advice.startswith("advice: bounds: ") and last == "good, 1 piece of advice"


def test_an_error_is_a_line_and_the_status_1(capsys):
    class Wrong(Clean):
        def step(self, action):
            return super().step(action)[:4]

    with registered(Wrong) as env:
        assert kgdists("check", env) == 1
    facts, error, last = capsys.readouterr().out.splitlines()
    assert facts.startswith(f"{env}: observes 2 numbers")
    assert error.startswith("error: contract: step 1 of its episode: `step` must return a tuple") and last == "1 error"


def test_an_environment_that_needs_an_argument_is_the_status_1(capsys):
    class Needy(Clean):
        def __init__(self, size):
            self.size = size

    with registered(Needy) as env:
        assert kgdists("check", env) == 1
    assert "error: made: it could not be made" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["CartPoll-v1"], "CartPoll"),
        (["no_such_module:CartPole-v1"], "no_such_module"),
        (["CartPole-v1", "--steps", "0"], "`steps` must be an int >= 1"),
        (["CartPole-v1", "--seed", "-1"], "`seed` must be an int >= 0"),
        (["CartPole-v1", "--steps", "many"], "invalid int value"),
        ([], "required: ENV"),
    ],
)
def test_what_is_mistyped_is_one_line_and_the_status_2(arguments, text, capsys):
    assert_one_line(capsys, kgdists("check", *arguments), text)
