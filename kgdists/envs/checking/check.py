"""Check an environment before training: play in it, and look for what the table knows."""

import re
from collections.abc import Callable

import gymnasium
from gymnasium.vector import VectorEnv

from kgdists.core.checks import count, in_short
from kgdists.core.types import Integer
from kgdists.envs.checked_env import CheckedEnv, WrongReturnError, name_of
from kgdists.envs.checking import networks
from kgdists.envs.checking.instances import Instances
from kgdists.envs.checking.repetition import Repetition
from kgdists.envs.checking.report import Finding, Report, counted
from kgdists.envs.checking.seen import Seen, limit_of
from kgdists.envs.checking.table import (
    ACTION_SPACE,
    BESIDE,
    EACH_MOMENT,
    ERROR,
    FIRST_MOMENT,
    INSTANCES,
    OBSERVATION_SPACE,
    REPEATED,
    SEEN,
)
from kgdists.envs.checking.trial import Moment, RaisedError, Trial, play

__all__ = ["check"]

REPEATED_MOMENTS = 100  # from the start on


def check(env: str | Callable[[], gymnasium.Env] | gymnasium.Env, steps: Integer = 1_000, seed: Integer = 0) -> Report:
    """Check whether an environment keeps Gymnasium's contract and is fit for training, by random play.

    What is found is reported and not raised. It takes a few hundred steps more than `steps`, and closes the
    environments that it has made.

    Parameters
    ----------
    env : str, callable or gymnasium.Env
        An id, a function that makes an environment, or an environment itself. Of the first two, two environments are
        made and compared.
    steps : int, >= 1
        Random steps.
    seed : int, >= 0
        Of the environments and actions.

    Returns
    -------
    Report
        True if there is no error among its findings; its string has one line for each.

    Raises
    ------
    ValueError
        If `env` is none of these, or a number is out of range.
    gymnasium.error.Error, ImportError
        If there is no environment of this id, or a package that it needs is missing.

    Examples
    --------
    >>> import kgdists as kg
    >>> print(kg.envs.check("CartPole-v1"))
    CartPole-v1: observes 4 numbers through FloatEncoder, acts through CategoricalHead, 1,000 random steps, 45 episodes
    good
    """
    steps, seed = count("steps", steps), count("seed", seed, least=0)
    if isinstance(env, VectorEnv) or not (isinstance(env, (str, gymnasium.Env)) or callable(env)):
        raise ValueError(
            "`env` must be an id, a function that makes an environment, or an environment; check one of a VectorEnv. "
            f"Received: {in_short(env)}"
        )
    try:
        made = Instances(env)
    except (gymnasium.error.Error, ImportError):
        raise
    except Exception as error:  # there is no end of what a function raises
        return Report(in_short(env), (Finding(ERROR, "made", f"it could not be made: {in_short(error)}"),))
    findings: list[Finding] = []
    facts: list[str] = []
    try:
        _look(made, steps, seed, findings, facts)
    except WrongReturnError as error:
        findings.append(Finding(ERROR, "contract", _in_place(error)))
    except RaisedError as error:
        findings.append(Finding(ERROR, "raises", str(error)))
    except ValueError as error:  # of an encoder: a sequence that is too long
        findings.append(Finding(ERROR, "observation_space", _in_place(error)))
    finally:
        made.close()
    return Report(name_of(made.first), tuple(findings), ", ".join(facts))


def _look(made, steps, seed, findings, facts):
    """Add to findings and facts, as far as the environment goes."""
    spaces = CheckedEnv(made.first)  # which refuses what is no environment
    findings += _found(ACTION_SPACE, spaces.action_space)
    facts.append(networks.acting(spaces.action_space))
    try:
        trial = Trial(made.first)
    except ValueError as error:
        findings.append(Finding(ERROR, "observation_space", _in_place(error)))
        return
    findings += _found(OBSERVATION_SPACE, trial.network_space)
    facts.insert(0, networks.observing(trial.network_space))
    first = _watch(trial, steps, seed, findings, facts)
    made.make_second()
    findings += _found(INSTANCES, made)
    if getattr(made.first.spec, "nondeterministic", False):
        return
    other = trial if made.second is None or made.are_shared else Trial(made.second)
    repeated = Repetition(first, trial, other, seed)
    findings += _found(REPEATED, repeated)
    if repeated.step is None and other is not trial:
        findings += _found(BESIDE, first, trial, other, seed)


def _watch(trial, steps, seed, findings, facts):
    """Play, and add what is seen: the first moments."""
    seen = Seen(trial.witness.observation_space, limit_of(trial.witness.env))
    first: list[Moment] = []
    try:
        for moment in play(trial, steps, seed):
            if not first:
                findings += _found(FIRST_MOMENT, moment)
            findings += _new(EACH_MOMENT, findings, trial.witness.observation_space, moment, seen.last)
            seen.add(moment)
            if len(first) < REPEATED_MOMENTS:
                first.append(moment)
    finally:
        facts += [counted(seen.steps, "random step"), counted(len(seen.episodes), "episode")]
    findings += _found(SEEN, seen)
    return first


def _new(rows, findings, *facts):
    """What is found by those rows that have found nothing yet."""
    known = {finding.name for finding in findings}
    return _found([row for row in rows if row[0] not in known], *facts)


def _found(rows, *facts):
    texts = ((name, level, find(*facts)) for name, level, find in rows)
    return [Finding(level, name, text) for name, level, text in texts if text is not None]


def _in_place(error):
    """What an error says, without the name of the environment before it."""
    return re.sub(r"^Environment 0 \([^)]*\)[,:] ", "", " ".join(str(error).split()))
