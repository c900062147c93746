"""The types of the public surface: all of it has them, and mypy finds what is wrong in calls of it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kgdists

PACKAGE = Path(kgdists.__file__).parent
REPOSITORY = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
WRONG = Path(__file__).parent / "wrong_calls.py"


def is_public(name):
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def public_functions(body):
    """All functions and methods of a module's body that a user may call; none that stand within another."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and is_public(node.name):
            yield node
        elif isinstance(node, (ast.ClassDef, ast.If, ast.Try)):
            yield from public_functions(node.body)


def untyped(function):
    """The arguments of a function that have no type, and "return" if that has none."""
    a = function.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
    missing = [x.arg for x in arguments if x.annotation is None and x.arg not in ("self", "cls")]
    return missing + ["return"] * (function.returns is None)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_every_public_function_has_types(path):
    functions = public_functions(ast.parse(path.read_text()).body)
    missing = {f"{function.name}, line {function.lineno}": untyped(function) for function in functions}
    assert {name: of for name, of in missing.items() if of} == {}


def errors_in(*files, **options):
    """(file, line) of all that mypy reports of these files."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(REPOSITORY / "setup.cfg"), *map(str, files)]
    output = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, **options).stdout
    assert "Success" in output or "Found" in output, output
    return output, {(file, int(line)) for file, line in re.findall(r"^(.+?):(\d+): error:", output, re.M)}


@pytest.mark.exhaustive
def test_wrong_calls_are_reported_line_by_line():
    lines = WRONG.read_text().splitlines()
    wrong = {i for i, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) >= 30
    output, errors = errors_in(WRONG)
    assert {line for _, line in errors} == wrong, output


@pytest.mark.exhaustive
def test_examples_are_right():
    output, errors = errors_in(*sorted((REPOSITORY / "examples").glob("*.py")))
    assert not errors, output


@pytest.mark.exhaustive
def test_snippets_of_the_readme_are_right(tmp_path):
    snippets = re.findall(r"^```python\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    assert snippets
    for i, snippet in enumerate(snippets):
        (tmp_path / f"snippet_{i}.py").write_text(snippet)
    output, errors = errors_in(*sorted(tmp_path.glob("*.py")))
    assert not errors, output
