"""End runs at random moments and resume them until they are done: each must end as if nothing had happened.

    python -m tests.kills --kills 50
    python -m tests.kills --by signal --kills 50
    mkdir small && sudo mount -t tmpfs -o size=64m tmpfs small && python -m tests.kills --by disk --small-disk small

A run is started with `kgdists train`, ended, resumed with `kgdists resume`, ended again, and so on: by signal 9; by
SIGINT or SIGTERM to the process or to its group, after which the newest checkpoint must be as far as the last row of
the metrics; or by a disk without room, on which it must end in one line. At last its last checkpoint (arrays, weights,
networks), its evaluation and its metrics are compared, bit for bit, with those of a run that nothing ended, and that
was not saved in between either. Processes are forked from this one, which has imported everything already.
"""

import argparse
import contextlib
import csv
import functools
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import gymnasium
import h5py
import numpy as np
import tensorflow as tf

from kgdists.cli import main as kgdists
from tests.agents.helpers import Noise

gymnasium.register("kills/Noise-v0", Noise)
SMALL = ["--hidden-units", "16", "16", "--num-envs", "4"]
PPO = ["--agent", "ppo", *SMALL, "--n-steps", "32", "--batch-size", "32", "--n-epochs", "2", "--steps", "3000"]
SAC = [*SMALL, "--epoch-steps", "100", "--batch-size", "32", "--buffer-size", "1000", "--steps", "2000"]
NORMALIZED = ["--normalize-observations", "--normalize-rewards"]
COMPILED = ["--vectorization", "compiled", "--steps", "150000"]
RUNS = {
    "ppo Noise": ["kills/Noise-v0", *PPO, "--batch-size", "128", "--n-epochs", "1", "--steps", "640"],
    "ppo CartPole": ["CartPole-v1", *PPO, "--evaluate-every", "500"],
    "ppo Pendulum": ["Pendulum-v1", *PPO, *NORMALIZED],
    "ppo LunarLander": ["LunarLander-v3", *PPO],
    "sac Pendulum": ["Pendulum-v1", "--agent", "sac", *SAC, "--normalize-observations"],
    "sac overlap": ["Pendulum-v1", "--agent", "sac", *SAC, "--overlap"],
    "sac CartPole": ["CartPole-v1", "--agent", "sac", *SAC],
    "a2c CartPole": ["CartPole-v1", "--agent", "a2c", *SMALL, "--epoch-steps", "200", "--steps", "4000"],
    "reinforce CartPole": ["CartPole-v1", "--agent", "reinforce", *SMALL, "--steps", "3000"],
    "pgpe CartPole": ["CartPole-v1", "--agent", "pgpe", "--hidden-units", "8", "--popsize", "20", "--steps", "8000"],
    "snes CartPole": ["CartPole-v1", "--agent", "snes", "--hidden-units", "8", "--popsize", "20", "--steps", "8000"],
    "ppo compiled": ["CartPole-v1", *PPO, *NORMALIZED, *COMPILED, "--evaluate-every", "20000"],
    "a2c compiled": ["Pendulum-v1", "--agent", "a2c", *SMALL, "--epoch-steps", "4000", *COMPILED],
    "reinforce compiled": ["CartPole-v1", "--agent", "reinforce", *SMALL, *COMPILED, "--steps", "30000"],
    "snes compiled": ["CartPole-v1", "--agent", "snes", "--hidden-units", "8", "--popsize", "20", *COMPILED],
    "ppo processes": ["CartPole-v1", *PPO, "--vectorization", "async"],
    "a2c processes": ["CartPole-v1", "--agent", "a2c", *SMALL, "--epoch-steps", "200", "--vectorization", "async"],
}
RUNS["snes compiled"] += ["--steps", "60000"]
RUNS["a2c processes"] += ["--steps", "4000"]
NOT_SAID_TWICE = ("steps_per_second",)


def start(arguments, log, eager):
    """Fork a process, the first of a group of its own, that runs `kgdists` with these arguments."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        tf.config.run_functions_eagerly(eager)
        status = kgdists(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


def ended(pid):
    """The status of a process when it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait(pid, log):
    """Wait for a process that nobody ends."""
    if status := ended(pid):
        raise SystemExit(f"a run ended with status {status}:\n{log.read_text()[-3000:]}")


def newest(run):
    """The steps of the newest checkpoint."""
    return max((int(file.stem) for file in (run / "checkpoints").glob("*.zip") if file.stem.isdecimal()), default=-1)


def rows(run):
    """The rows of the metrics."""
    file = run / "metrics.csv"
    return list(csv.DictReader(io.StringIO(file.read_text()))) if file.is_file() else []


def comes(pid, run, draw, seconds_to_start):
    """Wait for a random moment, and return whether the process is still there.

    At any moment from its start on, or after some updates, or while it writes a checkpoint.
    """
    first, moment = len(rows(run)), draw.choice(["any", "later", "writing"])
    ahead = 0 if moment == "any" else draw.randint(1, 5)
    done = 0
    while done < ahead or (moment == "writing" and not any(run.glob("checkpoints/partial-*.zip"))):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        done = len(rows(run)) - first
        time.sleep(0.001)
    time.sleep(draw.uniform(0.0, {"any": seconds_to_start, "later": 0.2, "writing": 0.03}[moment]))
    return not os.waitpid(pid, os.WNOHANG)[0]


def kill(pid, run, draw, said):
    """By signal 9, which nothing can answer."""
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    return []


def tell(pid, run, draw, said):
    """By SIGINT or SIGTERM to the process, or to its group with the processes of environments."""
    number, send = draw.choice([signal.SIGINT, signal.SIGTERM]), draw.choice([os.kill, os.killpg])
    send(pid, number)
    status, wrong = ended(pid), []
    if status not in (0, 128 + number, 130, -number):  # the last two before training began, or after it
        wrong.append(f"status {status} after {number!r}")
    if rows(run) and newest(run) != float(rows(run)[-1]["steps"]):
        wrong.append(f"the newest checkpoint is {newest(run)} of {rows(run)[-1]['steps']} steps")
    return wrong


def fill(pid, run, draw, said):
    """By a disk without room, until the process has ended."""
    filler = run.parent / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    status = ended(pid)
    filler.unlink()
    lines = [line for line in said() if "error:" in line]
    fine = status == 0 or (status in (1, 2) and len(lines) == 1 and "No space left" in lines[0])
    return [] if fine and "Traceback" not in "".join(said()) else [f"status {status}: {' '.join(said()[-3:])}"]


def _lines(file, start):
    return file.read_bytes()[start:].decode(errors="replace").splitlines()


WAYS = {"kill": kill, "signal": tell, "disk": fill}


def left(pid):
    """Whether a process of the group of a process that ended is still there a minute later.

    By then a process that was only starting has come to look for its owner.
    """
    for _ in range(6000):
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    return True


def results(run):
    """Name -> all numbers and texts that a run ends with."""
    files = (run / "checkpoints").glob("*.zip")
    last = max(files, key=lambda file: int(file.stem))
    found = {"last checkpoint": last.name, "evaluation": (run / "evaluation.json").read_text()}
    with zipfile.ZipFile(last) as archive:
        with np.load(io.BytesIO(archive.read("state.npz"))) as arrays:
            found |= dict(arrays)
        for name in archive.namelist():
            if name.endswith(".keras"):
                found |= {f"{name} {part}": x for part, x in model(archive.read(name)).items()}
    found["metrics"] = [{name: x for name, x in row.items() if name not in NOT_SAID_TWICE} for row in rows(run)]
    return found


def model(content):
    """Name -> weight of a `.keras` file, and its configuration."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        config = json.loads(archive.read("config.json"), object_hook=_without_addresses)
        found = {"config": json.dumps(config, sort_keys=True)}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(lambda name, x: found.update({name: x[()]}) if isinstance(x, h5py.Dataset) else None)
    return found


def _without_addresses(x):
    return {name: value for name, value in x.items() if name != "shared_object_id"}


def differences(one, other):
    """The names of what is not the same to the last bit."""

    def bits(x):
        return (x.shape, x.dtype.str, x.tobytes()) if isinstance(x, np.ndarray) else x

    return sorted(name for name in one.keys() | other.keys() if bits(one.get(name)) != bits(other.get(name)))


def live(name, options, most, draw, run, log, seconds):
    """Start a run, end and resume it up to `most` times, let it end, and return how often, and what went wrong."""
    count, wrong, command = 0, [], ["train", *_times(RUNS[name], options.times), "--out", str(run)]
    while count < most:
        often = options.by != "signal" or draw.random() < 0.5
        before = log.stat().st_size if log.exists() else 0
        pid = start([*command, "--save-every", "0" if often else "1e9"], log, options.eager)
        there = comes(pid, run, draw, seconds)
        if there:
            wrong += WAYS[options.by](pid, run, draw, functools.partial(_lines, log, before))
            wrong += ["a process is left"] * left(pid)
        if (run / "config.json").is_file():
            command = ["resume", str(run)]
        elif run.exists():
            shutil.rmtree(run)  # before there was a run
        if not there:
            break
        count += 1
    wait(start(command, log, options.eager), log)
    return count, wrong


def _times(command, times):
    """The command of a run of this many times its steps."""
    steps = max(i for i, part in enumerate(command) if part == "--steps") + 1
    return [*command[:steps], str(int(command[steps]) * times), *command[steps + 1 :]]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=list(WAYS), default="kill", help="how a run is ended; default: kill")
    parser.add_argument("--small-disk", type=Path, help="where runs are written that end by a full disk")
    parser.add_argument("--kills", type=int, default=50, help="how many in all; default: 50")
    parser.add_argument("--kills-per-run", type=int, default=5, help="the most of one run; default: 5")
    parser.add_argument("--times", type=int, default=1, help="multiply the steps of runs by this; default: 1")
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS), help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: 0")
    parser.add_argument("--eager", action="store_true", help="compile nothing: starts sooner, runs slower")
    options = parser.parse_args(arguments)
    if options.by == "disk" and (options.small_disk is None or not options.small_disk.is_mount()):
        parser.error("--by disk needs --small-disk FOLDER, where a file system of its own is mounted")
    draw, kills, total, bad = random.Random(options.seed), 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        folder, expected, seconds = Path(folder), {}, {}
        while kills < options.kills:
            name = options.runs[total % len(options.runs)]
            log, run = folder / f"{total}.log", (options.small_disk or folder) / str(total)
            if name not in expected:
                began, reference = time.monotonic(), folder / "reference"
                train = ["train", *_times(RUNS[name], options.times), "--out", str(reference), "--save-every", "1e9"]
                wait(start(train, log, options.eager), log)
                expected[name], seconds[name] = results(reference), time.monotonic() - began
                shutil.rmtree(reference)
            most = min(options.kills_per_run, options.kills - kills)
            count, wrong = live(name, options, most, draw, run, log, seconds[name])
            wrong += differences(expected[name], results(run))
            kills, total = kills + count, total + 1
            print(f"{name}: {count}, {kills} in all: {'; '.join(wrong) or 'the same to the last bit'}", flush=True)
            bad += wrong
            shutil.rmtree(run)
    print(f"{kills} times by {options.by}, {total} runs: {len(bad)} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
