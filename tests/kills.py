"""Kill runs at random moments and resume them until they are done: each must end as if it had never been killed.

    python -m tests.kills --kills 50

A run is started with `kgdists train`, killed with signal 9, resumed with `kgdists resume`, killed again, and so on. In
the end its last checkpoint (arrays, weights, networks), its evaluation and its metrics are compared, bit for bit, with
those of a run that was never killed, and not saved in between either. Processes are forked from this one, which has
imported everything already.
"""

import argparse
import contextlib
import csv
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
RUNS = {
    "ppo Noise": ["kills/Noise-v0", *PPO, "--batch-size", "128", "--n-epochs", "1", "--steps", "640"],
    "ppo CartPole": ["CartPole-v1", *PPO, "--evaluate-every", "500"],
    "ppo Pendulum": ["Pendulum-v1", *PPO, *NORMALIZED],
    "ppo LunarLander": ["LunarLander-v3", *PPO],
    "sac Pendulum": ["Pendulum-v1", "--agent", "sac", *SAC, "--normalize-observations"],
    "sac CartPole": ["CartPole-v1", "--agent", "sac", *SAC],
    "a2c CartPole": ["CartPole-v1", "--agent", "a2c", *SMALL, "--epoch-steps", "200", "--steps", "4000"],
    "reinforce CartPole": ["CartPole-v1", "--agent", "reinforce", *SMALL, "--steps", "3000"],
    "pgpe CartPole": ["CartPole-v1", "--agent", "pgpe", "--hidden-units", "8", "--popsize", "20", "--steps", "8000"],
}
NOT_SAID_TWICE = ("steps_per_second",)


def start(arguments, log, eager):
    """Fork a process that runs `kgdists` with these arguments."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        tf.config.run_functions_eagerly(eager)
        status = kgdists(arguments)
        sys.stdout.flush()
    finally:
        os._exit(status)


def wait(pid, log):
    """Wait for a process that nobody kills."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise SystemExit(f"a run ended with status {status}:\n{log.read_text()[-3000:]}")


def newest(run):
    return max((int(file.stem) for file in (run / "checkpoints").glob("*.zip") if file.stem.isdecimal()), default=-1)


def kill(pid, run, draw, seconds_to_start):
    """Kill a process at a random moment.

    At any moment from its start on, or after it has written some checkpoints, or while it writes one. Returns whether
    there was anything to be killed.
    """
    first, moment = newest(run), draw.choice(["any", "later", "writing"])
    ahead = 0 if moment == "any" else draw.randint(1, 5)
    written = 0
    while written < ahead or (moment == "writing" and not any(run.glob("checkpoints/partial-*.zip"))):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        if newest(run) > first:
            first, written = newest(run), written + 1
        time.sleep(0.001)
    time.sleep(draw.uniform(0.0, {"any": seconds_to_start, "later": 0.2, "writing": 0.03}[moment]))
    if os.waitpid(pid, os.WNOHANG)[0]:
        return False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
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
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found["metrics"] = [{name: x for name, x in row.items() if name not in NOT_SAID_TWICE} for row in rows]
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


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-per-run", type=int, default=5)
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--eager", action="store_true", help="compile nothing: starts sooner, runs slower")
    options = parser.parse_args(arguments)
    draw, kills, in_writing, total = random.Random(options.seed), 0, 0, 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        never_killed, seconds, bad = {}, {}, []
        while kills < options.kills:
            name = options.runs[total % len(options.runs)]
            log, run = folder / f"{total}.log", folder / str(total)
            if name not in never_killed:
                began = time.monotonic()
                reference = folder / "reference"
                train = ["train", *RUNS[name], "--out", str(reference), "--save-every", "1e9"]
                wait(start(train, log, options.eager), log)
                never_killed[name], seconds[name] = results(reference), time.monotonic() - began
                shutil.rmtree(reference)
            count, command = 0, ["train", *RUNS[name], "--out", str(run)]
            while count < options.kills_per_run and kills < options.kills:
                pid = start([*command, "--save-every", "0"], log, options.eager)
                is_killed = kill(pid, run, draw, seconds[name])
                if (run / "config.json").is_file():
                    command = ["resume", str(run)]
                elif run.exists():
                    shutil.rmtree(run)  # before there was a run
                if not is_killed:
                    break
                count, kills = count + 1, kills + 1
                in_writing += any(run.glob("**/partial-*"))
            wait(start(command, log, options.eager), log)
            differ = differences(never_killed[name], results(run))
            print(
                f"{name}: {count} kills, {kills} in all: {', '.join(differ) or 'the same to the last bit'}", flush=True
            )
            bad += [(name, x) for x in differ]
            shutil.rmtree(run)
            total += 1
    print(f"{kills} kills of {total} runs, {in_writing} of them while a file was being written; {len(bad)} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
