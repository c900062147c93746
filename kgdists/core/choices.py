"""What settings may be: names and bounds that the command line tells without importing Keras."""

__all__ = [
    "BOX_FAMILY_NAMES",
    "IMAGE_NETWORKS",
    "MAX_LENGTH",
    "MAX_SEEDS",
    "MAX_STEPS",
    "MAX_THREADS",
    "OPTIMIZERS",
    "PREPROCESSING",
    "SEARCHER_NAMES",
    "VECTORIZATIONS",
]

BOX_FAMILY_NAMES = ("squashed", "beta", "clipped", "normal")
IMAGE_NETWORKS = ("auto", "nature", "impala", "small")
MAX_LENGTH = 64  # items of an observed sequence, unless told otherwise
MAX_SEEDS = 1_000  # of agents that are trained side by side
MAX_STEPS = 10**15  # of a training, which a float counts and no machine takes
MAX_THREADS = 1024  # of far more TensorFlow hangs or aborts
OPTIMIZERS = (
    *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "ftrl", "lion", "nadam", "rmsprop", "sgd"),
)
PREPROCESSING = ("none", "atari")
SEARCHER_NAMES = ("pgpe", "snes", "cem", "xnes", "cmaes")
VECTORIZATIONS = ("auto", "sync", "async", "native", "compiled")
