"""Which module may know which, read off the sources."""

import ast
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kgdists
from tests.processes import run_python

ROOT = Path(kgdists.__file__).parent

# From the ground up: a room imports only from the floors below its own.
FLOORS = (
    {"core"},
    {"numerics"},
    {"random"},
    {"distributions", "losses", "returns"},
    {"divergences", "interop", "layers", "targets", "testing"},
    {"encoders", "metrics", "mixtures", "spaces"},
    {"models"},
    {"policy"},
    {"envs"},
    {"evolution", "runs"},
    {"agents", "plotting"},
    {"cli"},
    {"__main__", ""},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_TENSORFLOW = ("distributions", "divergences", "layers", "losses", "policy", "returns")


def name_of(path):
    """A file's dotted name below kgdists; that of a package is the name of its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
each_module = pytest.mark.parametrize("name", TREES)


def imports(tree):
    """The full names of all modules that a source imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            # What comes from a package may be one of its modules.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("kgdists.") in TREES else node.module


def own_imports(tree):
    """The names below kgdists of the modules of kgdists that a source imports."""
    for full in imports(tree):
        package, _, name = full.partition(".")
        if package == "kgdists":
            yield name


def room_of(name):
    """The first part of a module's name."""
    return name.partition(".")[0]


def test_every_room_has_its_floor():
    assert {room_of(name) for name in TREES} == set(FLOOR)


@each_module
def test_a_module_imports_only_from_rooms_below(name):
    others = {other for other in own_imports(TREES[name]) if room_of(other) != room_of(name)}
    assert [other for other in others if FLOOR[room_of(other)] >= FLOOR[room_of(name)]] == []


@pytest.mark.parametrize("room", sorted(FLOOR.keys() - {""}))
def test_no_circle_inside_a_room(room):
    known = {name: set(own_imports(TREES[name])) & set(TREES) for name in TREES if room_of(name) == room}
    list(TopologicalSorter({name: others & set(known) for name, others in known.items()}).static_order())


@pytest.mark.parametrize("name", [name for name in TREES if room_of(name) != "cli"])  # which starts without Keras
def test_no_import_inside_a_function(name):
    functions = [node for node in ast.walk(TREES[name]) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = [node for function in functions for node in ast.walk(function)]
    assert [node.lineno for node in inside if isinstance(node, (ast.Import, ast.ImportFrom))] == []


@each_module
def test_formulas_are_written_in_keras_ops(name):
    if name.split(".")[0] in WITHOUT_TENSORFLOW:
        assert not [full for full in imports(TREES[name]) if full.split(".")[0] in ("tensorflow", "jax", "torch")]


@pytest.mark.parametrize(
    "package", ["distributions", "encoders", "layers", "losses", "agents", "envs", "plotting", "targets"]
)
def test_a_package_only_names_what_is_elsewhere(package):
    defined = [node.name for node in TREES[package].body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert set(defined) <= {"__getattr__"}


@pytest.mark.parametrize("name", [name for name in TREES if name != "__main__"])
def test_what_a_module_makes_public_exists(name):
    for node in TREES[name].body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            public = ast.literal_eval(node.value)
            assert len(public) == len(set(public))
            module = importlib.import_module(f"kgdists.{name}".strip("."))
            assert [x for x in public if not hasattr(module, x)] == []


@pytest.mark.exhaustive
def test_import_costs_no_more_than_keras():
    code = """
        import sys

        import keras

        before = set(sys.modules)
        import kgdists

        print(*{module.partition(".")[0] for module in set(sys.modules) - before})
    """
    heavy = {"gymnasium", "jax", "matplotlib", "ray", "tensorflow_probability", "tf_keras", "torch"}
    assert not heavy & set(run_python(code).split())


@pytest.mark.exhaustive
def test_what_needs_gymnasium_is_imported_at_first_use():
    code = """
        import sys

        import kgdists

        assert "gymnasium" not in sys.modules
        print(kgdists.head_for.__module__, kgdists.spaces.__name__, kgdists.agents.__name__)
    """
    assert run_python(code).split() == ["kgdists.spaces", "kgdists.spaces", "kgdists.agents"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'kgdists' has no attribute 'nothing'"):
        kgdists.nothing
