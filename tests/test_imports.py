"""Which module may know which, read off the sources."""

import ast
import importlib
from pathlib import Path

import pytest

import kgdists
from tests.processes import run_python

ROOT = Path(kgdists.__file__).parent

# From the ground up: a module imports only from the rows below its own. A package stands above its modules.
ROWS = [
    {"checked_env", "evaluation", "plotting.metrics", "procedural"},
    {"checked_vector_env"},
    {"callback_list", "compiled", "numerics", "pytree", "random", "symbolic"},
    {"bounds", "shapes"},
    {
        "losses.entropies",
        "losses.imitation",
        "losses.policy_gradients",
        "losses.proximal",
        "losses.soft_actor_critic",
        "losses.values",
    },
    {"distribution", "losses", "returns"},
    {"testing.values"},
    {"testing.requirements"},
    {
        "testing.closed_forms",
        "testing.declaration",
        "testing.gradients",
        "testing.normalisation",
        "testing.sampler",
        "testing.saving",
    },
    {"testing"},
    {"distributions.beta", "distributions.choices", "distributions.clipped_normal", "distributions.triangular"},
    {"distributions.relaxed_one_hot_categorical"},
    {
        "distributions.bernoulli",
        "distributions.categorical",
        "distributions.discretized_logistic",
        "distributions.gaussian_mixture",
        "distributions.multivariate_normal",
        "distributions.normal",
        "distributions.squashed_normal",
    },
    {"distributions.composite", "distributions.multi_categorical"},
    {"distributions.one_of", "distributions.state_dependent_normal"},
    {"distributions"},
    {"divergences.sampling"},
    {"divergences.components", "divergences.moments"},
    {"divergences.mixture_bounds", "divergences.monte_carlo", "divergences.training"},
    {"divergences.importance"},
    {"divergences"},
    {"targets.dataset", "targets.density", "targets.rows"},
    {"targets.mixture"},
    {"targets.diagonal_gaussian_mixture", "targets.gaussian_mixture"},
    {"targets"},
    {"mixtures.parameters", "mixtures.sources", "mixtures.widths"},
    {"mixtures.initial"},
    {"mixtures.descent", "mixtures.expectation_maximisation"},
    {"mixtures.fitting"},
    {"mixtures"},
    {"evolution.coordinates", "evolution.exact_sums", "evolution.noise", "evolution.ranking"},
    {"evolution.search_distribution"},
    {"evolution.exp_gaussian", "evolution.exp_separable_gaussian", "evolution.separable_gaussian"},
    {"evolution.clip_up", "evolution.full_gaussian", "evolution.symmetric_separable_gaussian"},
    {"evolution.ascent"},
    {"evolution.bounds", "evolution.objective", "evolution.run_file"},
    {"evolution.loop"},
    {"evolution.rows", "evolution.searcher"},
    {"evolution.gaussian_searcher"},
    {"evolution.cem", "evolution.pgpe", "evolution.snes"},
    {"evolution.cmaes", "evolution.xnes"},
    {"evolution.ray_map"},
    {"evolution"},
    {"interop.tfp.classes", "interop.tfp.evaluate"},
    {"interop.tfp.encoding"},
    {"interop.tfp.tfp_dist"},
    {"interop.tfp.counterparts", "interop.tfp.tfp_head"},
    {"interop.tfp"},
    {"interop"},
    {
        "layers.composite_head",
        "layers.logits_head",
        "layers.normal_head",
        "layers.running_normalization",
    },
    {
        "layers.bernoulli_head",
        "layers.beta_head",
        "layers.categorical_head",
        "layers.discretized_logistic_head",
        "layers.multi_categorical_head",
        "layers.gaussian_mixture_head",
        "layers.multivariate_normal_head",
        "layers.relaxed_one_hot_head",
        "layers.clipped_normal_head",
        "layers.squashed_normal_head",
        "layers.state_dependent_normal_head",
    },
    {"layers"},
    {"spaces"},
    {"policy", "plotting.curves", "plotting.densities", "plotting.searches"},
    {"plotting"},
    {"evolution.episodes", "evolution.members"},
    {"evolution.gym"},
    {"agents.files", "agents.settings", "agents.sharing", "agents.streams"},
    {"agents.loadable"},
    {"agents.acting", "agents.checkpoint", "agents.diagnostics", "agents.masks", "agents.meanings", "agents.networks"},
    {"agents.checkpoints", "agents.episode_record", "agents.schedules"},
    {"agents.distributed", "agents.reward_scaling", "agents.sync_envs", "agents.time_major"},
    {"agents.async_envs", "agents.native_envs"},
    {"agents.a2c_config", "agents.envs", "agents.es_config", "agents.ppo_config", "agents.proximity", "agents.rollout"},
    {"agents.reinforce_config", "agents.whole_episodes"},
    {"agents.agent", "agents.callbacks", "agents.es", "agents.recording", "agents.runs"},
    {"agents.adam", "agents.critics", "agents.replay", "agents.sac_config", "agents.soft_values"},
    {"agents.a2c", "agents.ppo", "agents.reinforce", "agents.sac"},
    {"agents.ray_rollouts", "agents.report", "agents.tuned"},
    {"agents.benchmark"},
    {"agents"},
    {"cli.agents", "cli.settings", "cli.known", "cli.plot", "cli.report"},
    {"cli.evaluate", "cli.record", "cli.running"},
    {"cli.resume", "cli.train"},
    {"cli.entry"},
    {"cli"},
    {"__main__", ""},
]
LEVELS = {name: level for level, row in enumerate(ROWS) for name in row}
WITHOUT_TENSORFLOW = (
    "bounds",
    "distribution",
    "distributions",
    "divergences",
    "layers",
    "losses",
    "policy",
    "returns",
    "shapes",
    "symbolic",
)


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


def test_every_module_has_its_row():
    assert set(TREES) == set(LEVELS)


@each_module
def test_a_module_imports_only_from_below(name):
    above = {other for other in own_imports(TREES[name]) if LEVELS[other] >= LEVELS[name]}
    assert not above


@each_module
def test_no_import_inside_a_function(name):
    functions = [node for node in ast.walk(TREES[name]) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = [node for function in functions for node in ast.walk(function)]
    assert [node.lineno for node in inside if isinstance(node, (ast.Import, ast.ImportFrom))] == []


@each_module
def test_formulas_are_written_in_keras_ops(name):
    if name.split(".")[0] in WITHOUT_TENSORFLOW:
        assert not [full for full in imports(TREES[name]) if full.split(".")[0] in ("tensorflow", "jax", "torch")]


@pytest.mark.parametrize("package", ["distributions", "layers", "losses", "agents", "plotting", "targets"])
def test_a_package_only_names_what_is_in_it(package):
    assert all(other.startswith(f"{package}.") for other in own_imports(TREES[package]))
    assert not [node for node in TREES[package].body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


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
