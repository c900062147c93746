"""Environments of other people's packages: what `kgdists train`, `evaluate`, `record` and `resume` make of them.

    python -m tests.benchmarks.third_party --work FOLDER --jobs 2
    python -m tests.benchmarks.third_party --work FOLDER --only minigrid ALE/Pong-v5
    python -m tests.benchmarks.third_party --table

Each package is installed by pip into a virtual environment of its own below FOLDER, which sees this checkout and the
packages of the interpreter that runs this (TensorFlow, Keras, Gymnasium, NumPy), but none of the other packages.
Results go to docs/results/third_party.json, in place of earlier ones of the same environment, and from there into the
table of docs/benchmarks.md.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
import venv
from importlib.metadata import version
from pathlib import Path

from tests.whole import ROOT, commit_of_work_tree

RESULTS, PAGE = ROOT / "docs" / "results" / "third_party.json", ROOT / "docs" / "benchmarks.md"
START, END = "<!-- made by tests/benchmarks/third_party.py -->\n", "<!-- end of third_party.py -->\n"
STEPS, MORE_STEPS, FILM_STEPS = 5_000, 6_500, 200
EPISODES = 10  # of an evaluation
COMMANDS = ("train", "evaluate", "record", "resume")


@dataclasses.dataclass(frozen=True)
class Package:
    """How a package is installed, and what makes its environments known by their ids.

    `module` is the source of a module of the user's own, for packages that register nothing when they are imported;
    `options` are those of `kgdists train`.
    """

    name: str
    requirements: tuple[str, ...]
    ids: tuple[str, ...]
    module: str = ""
    options: tuple[str, ...] = ()


PACKAGES = (
    Package(
        "gymnasium",
        ("gymnasium[toy-text,box2d,mujoco]",),
        ("FrozenLake-v1", "Blackjack-v1", "BipedalWalker-v3", "CarRacing-v3", "Ant-v5"),
    ),
    Package(
        "minigrid",
        ("minigrid",),
        (
            "minigrid:MiniGrid-Empty-5x5-v0",
            "MiniGrid-DoorKey-6x6-v0",
            "MiniGrid-FourRooms-v0",
            "minigrid:BabyAI-GoToRedBall-v0",
        ),
    ),
    Package(
        "highway-env",
        ("highway-env",),
        (
            "highway-fast-v0",
            "highway_env:intersection-v0",
            "parking-v0",
            "highway_env:racetrack-v1",
        ),
    ),
    # Later releases of MuJoCo have enumerations that Gymnasium-Robotics 1.4.2 does not know.
    Package(
        "gymnasium-robotics",
        ("gymnasium-robotics", "mujoco<3.4"),
        (
            "gymnasium_robotics:FetchReach-v4",
            "gymnasium_robotics:PointMaze_UMaze-v3",
            "gymnasium_robotics:AdroitHandDoor-v1",
            "gymnasium_robotics:FrankaKitchen-v1",
        ),
    ),
    Package(
        "ale-py",
        ("ale-py", "opencv-python-headless"),
        ("ALE/Pong-v5", "ALE/Breakout-v5"),
    ),
    Package("flappy-bird-gymnasium", ("flappy-bird-gymnasium",), ("flappy_bird_gymnasium:FlappyBird-v0",)),
    Package("gym-anytrading", ("gym-anytrading",), ("gym_anytrading:stocks-v0", "gym_anytrading:forex-v0")),
    Package("panda-gym", ("panda-gym",), ("panda_gym:PandaReach-v3", "panda_gym:PandaPush-v3")),
    Package(
        "PyFlyt",
        ("PyFlyt",),
        (
            "PyFlyt.gym_envs:PyFlyt/QuadX-Hover-v1",
            "PyFlyt.gym_envs:PyFlyt/QuadX-Waypoints-v1",
            "PyFlyt.gym_envs:PyFlyt/Rocket-Landing-v1",
        ),
    ),
    Package(
        "popgym",
        ("popgym",),
        (
            "popgym:popgym-RepeatPreviousEasy-v0",
            "popgym:popgym-BattleshipEasy-v0",
            "popgym:popgym-MineSweeperEasy-v0",
            "popgym:popgym-HigherLowerEasy-v0",
        ),
    ),
    Package(
        "MinAtar",
        ("MinAtar",),
        ("third_party_minatar:MinAtar/Breakout-v1", "third_party_minatar:MinAtar/SpaceInvaders-v1"),
        module="from minatar.gym import register_envs\n\nregister_envs()\n",
    ),
    Package("tetris-gymnasium", ("tetris-gymnasium",), ("tetris_gymnasium.envs:tetris_gymnasium/Tetris",)),
    Package("gym-pusht", ("gym-pusht",), ("gym_pusht:gym_pusht/PushT-v0",)),
    Package(
        "vizdoom",
        ("vizdoom",),
        (
            "vizdoom.gymnasium_wrapper:VizdoomBasic-v1",
            "vizdoom.gymnasium_wrapper:VizdoomDefendLine-MultiBinary-v1",
        ),
        options=("--agent", "a2c"),
    ),
    Package(  # asks for an older Gymnasium than it needs
        "gymnasium-2048",
        ("--no-deps", "gymnasium-2048"),
        ("gymnasium_2048.envs:gymnasium_2048/TwentyFortyEight-v0",),
    ),
    Package(
        "gym-electric-motor",
        ("gym-electric-motor",),
        ("gym_electric_motor:Cont-TC-PermExDc-v0", "gym_electric_motor:Finite-SC-PMSM-v0"),
    ),
    Package(
        "shimmy",
        ("shimmy[dm-control]", "mujoco<4"),
        ("shimmy:dm_control/cartpole-swingup-v0", "shimmy:dm_control/walker-walk-v0"),
    ),
    Package("mo-gymnasium", ("mo-gymnasium",), ("mo_gymnasium:deep-sea-treasure-v0",)),
    Package(
        "stable-retro",
        ("stable-retro",),
        ("third_party_retro:Airstriker-v0",),
        module="""import gymnasium
import stable_retro


def airstriker(render_mode=None):
    return stable_retro.make("Airstriker-Genesis-v0", render_mode=render_mode)


gymnasium.register("Airstriker-v0", entry_point=airstriker, max_episode_steps=1_000)
""",
    ),
)

FACTS = """
import json, sys, warnings
from importlib.metadata import version
from gymnasium import spaces
from kgdists.envs.registered import make_registered


def described(space):
    if isinstance(space, spaces.Dict):
        return f"Dict({', '.join(f'{key}: {described(part)}' for key, part in space.items())})"
    if isinstance(space, spaces.Tuple):
        return f"Tuple({', '.join(map(described, space))})"
    if isinstance(space, spaces.Box):
        return f"{space.dtype} {list(space.shape)}"
    if isinstance(space, spaces.Sequence):
        return f"Sequence({described(space.feature_space)})"
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({space.nvec.tolist()})"
    if isinstance(space, spaces.MultiBinary):
        return f"MultiBinary({space.n})"
    return type(space).__name__


warnings.simplefilter("ignore")
facts = {"version": version(sys.argv[1]), "observation": "", "action": ""}
try:
    env = make_registered(sys.argv[2])
    facts |= {"observation": described(env.observation_space), "action": described(env.action_space)}
finally:
    print("\\n" + json.dumps(facts))
"""


def environment(folder):
    """Variables of the processes: no display and no sound."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "DISPLAY", "MUJOCO_GL")
    }
    return kept | {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "SDL_AUDIODRIVER": "dummy",
    }


def install(package, folder):
    """The interpreter of a package's virtual environment, which is made if it is not there."""
    home = folder / package.name
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    bounds = home / "constraints.txt"
    bounds.write_text("".join(f"{name}=={version(name)}\n" for name in ("gymnasium", "numpy")))
    command = [python, "-m", "pip", "install", "--quiet", "--quiet", "-c", bounds, *package.requirements]
    subprocess.run(list(map(str, command)), check=True, env=environment(home))
    (home / "registering").mkdir()
    if package.module:
        (home / "registering" / f"{package.ids[0].partition(':')[0]}.py").write_text(package.module)
    (home / "installed").touch()
    return python


def ran(command, folder, limit):
    """Run a command: what became of it, its seconds, and the last line that it said."""
    start = time.perf_counter()
    with subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment(folder),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"ended after {limit} s"
    entry = {"status": status_of(process.returncode, err), "seconds": round(time.perf_counter() - start)}
    lines = (err if process.returncode else out).strip().splitlines() or [f"exit status {process.returncode}"]
    return entry | {"said": lines[-1][-600:]}, err + out


def status_of(code, err):
    """ "works", "one line" where an error was told in one, or what went wrong."""
    if not code:
        return "works"
    if "Traceback (most recent call last)" in err:
        return "traceback"
    return "one line" if code > 0 else signal.Signals(-code).name


def tried(package, env_id, work, limit):
    """Try all commands on one environment and return what became of them."""
    python = install(package, work / "venvs")
    folder = work / "venvs" / package.name / "registering"
    run = work / "runs" / env_id.replace("/", "-").replace(":", "-")
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(exist_ok=True)
    kgdists = [python, "-m", "kgdists"]
    commands = {
        "train": [
            *kgdists,
            "train",
            env_id,
            "--steps",
            STEPS,
            "--eval-episodes",
            EPISODES,
            "--out",
            run,
            *package.options,
        ],
        "evaluate": [*kgdists, "evaluate", run, "--episodes", EPISODES],
        "record": [*kgdists, "record", run, "--max-steps", FILM_STEPS],
        "resume": [*kgdists, "resume", run, "--steps", MORE_STEPS],
    }
    entry = {"package": package.name, "id": env_id, "options": " ".join(package.options)}
    entry |= {"commit": commit_of_work_tree(RESULTS)}
    entry |= json.loads(ran([python, "-c", FACTS, package.name, env_id], folder, limit)[1].splitlines()[-1])
    entry["commands"] = {}
    for name, command in commands.items():
        entry["commands"][name], text = ran(command, folder, limit)
        entry["commands"][name]["said"] = entry["commands"][name]["said"].replace(f"{run.parent}/", "")
        (run.parent / f"{run.name}-{name}.log").write_text(text)
        if name == "train" and entry["commands"][name]["status"] != "works":
            break  # there is no run to go on with
    return entry


def outcome(entry):
    """What the table says of an environment."""
    done = entry["commands"]
    failed = [name for name in COMMANDS if done.get(name, {}).get("status") != "works"]
    if not failed:
        return "all four"
    name = failed[0]
    said = done[name]["said"].removeprefix("kgdists: error: ").replace("|", "\\|")
    others = ", ".join(other for other in COMMANDS if done.get(other, {}).get("status") == "works")
    how = "" if done[name]["status"] == "one line" else f" ({done[name]['status']})"
    return f"{others + '; ' if others else ''}{name}{how}: {said}"


def table(entries):
    """Markdown: a row for each environment."""
    lines = [
        "| package | id | observes | acts | seconds to train, resume | what worked |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in entries:
        seconds = [entry["commands"].get(name, {}).get("seconds", "") for name in ("train", "resume")]
        cells = [
            f"{entry['package']} {entry['version']}",
            f"`{' '.join([entry['id'], entry['options']]).strip()}`",
            textwrap.shorten(entry["observation"], 120, placeholder=" ..."),
            entry["action"],
            ", ".join(map(str, seconds)),
            outcome(entry),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    works = sum(outcome(entry) == "all four" for entry in entries)
    packages = len({entry["package"] for entry in entries})
    return "\n".join([*lines, "", f"{works} of {len(entries)} environments, of {packages} packages, work in all four."])


def write(entries):
    """Write results and table."""
    RESULTS.write_text("[\n" + ",\n".join(f" {json.dumps(entry)}" for entry in entries) + "\n]\n")
    before, rest = PAGE.read_text().split(START)
    PAGE.write_text(before + START + table(entries) + "\n" + END + rest.split(END, 1)[1])


def merged(*entries):
    """All results, in the order of the packages: those of the JSON file, and newer ones in their place."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    results = {entry["id"]: entry for entry in [*known, *entries]}
    return [results[env_id] for package in PACKAGES for env_id in package.ids if env_id in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="of virtual environments and runs")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="packages or ids")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="environments at a time")
    parser.add_argument("--limit", type=int, default=1_200, metavar="SECONDS", help="of one command")
    parser.add_argument("--table", action="store_true", help="write the table of earlier results alone")
    options = parser.parse_args()
    lock = threading.Lock()

    def keep(entry):
        with lock:
            write(merged(entry))
        print(f"{entry['id']}: {outcome(entry)}", flush=True)

    def wanted(package):
        ids = package.ids
        return [i for i in ids if not options.only or {package.name, i, i.partition(":")[2]} & set(options.only)]

    def try_package(package):
        for env_id in wanted(package):
            keep(tried(package, env_id, options.work.resolve(), options.limit))

    if options.table:
        write(merged())
        return
    if options.work is None:
        parser.error("--work FOLDER is needed")
    (options.work / "venvs").mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(try_package, filter(wanted, PACKAGES)))


if __name__ == "__main__":
    sys.exit(main())
