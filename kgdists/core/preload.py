"""What the server imports from which processes of environments are forked, without TensorFlow's log."""

import importlib

from kgdists.core.quiet import quietly

with quietly():
    importlib.import_module("kgdists.envs.async_envs")
