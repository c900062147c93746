"""The table of all findings, in the order in which they are looked for."""

from kgdists.envs.checking import contract, ends, instances, networks, repetition, scales

__all__ = [
    "ACTION_SPACE",
    "ADVICE",
    "BESIDE",
    "EACH_MOMENT",
    "ERROR",
    "FIRST_MOMENT",
    "INSTANCES",
    "OBSERVATION_SPACE",
    "REPEATED",
    "SEEN",
    "STOPPING",
]

ERROR, ADVICE = "error", "advice"

# Errors of what stops a check: it cannot be made, breaks the contract, or raises.
STOPPING = ("made", "contract", "raises")

# Name, level, and the function that says it in one line or returns None.
ACTION_SPACE = (
    ("head", ERROR, networks.head),
    ("unbounded_actions", ADVICE, networks.unbounded),
)
OBSERVATION_SPACE = (("observation_space", ERROR, networks.encoder),)
FIRST_MOMENT = (("memory", ADVICE, networks.memory),)
EACH_MOMENT = (
    ("dtype", ADVICE, contract.dtype),
    ("bounds", ADVICE, contract.bounds),
    ("buffer", ADVICE, contract.buffer),
    ("unknown_key", ADVICE, contract.unknown_key),
    ("reward_type", ADVICE, contract.reward),
    ("flag_type", ADVICE, contract.flag),
    ("info_type", ADVICE, contract.info),
    ("action_mask", ADVICE, contract.action_mask),
)
SEEN = (
    ("no_end", ADVICE, ends.no_end),
    ("time_limit", ADVICE, ends.limit),
    ("ends_at_once", ADVICE, ends.at_once),
    ("autoreset", ADVICE, ends.autoreset),
    ("large_observations", ADVICE, scales.large_observations),
    ("constant_observations", ADVICE, scales.constant_observations),
    ("unused_bounds", ADVICE, scales.unused_bounds),
    ("large_rewards", ADVICE, scales.large_rewards),
    ("constant_rewards", ADVICE, scales.constant_rewards),
)
INSTANCES = (
    ("shared", ERROR, instances.shared),
    ("one_only", ADVICE, instances.second),
)
REPEATED = (
    ("start", ADVICE, repetition.start),
    ("course", ADVICE, repetition.course),
    ("seeds", ADVICE, repetition.seeds),
    ("generator", ADVICE, repetition.generator),
)
BESIDE = (("apart", ERROR, instances.apart),)
