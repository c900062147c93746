"""Memory of SAC's replay of images: what a full one adds to the process, and what saving and loading add to that.

python tests/benchmarks/replay_memory.py [--steps 20000] [--jit-compile] [--out docs/results/replay_memory.json]

Each row is a fresh process. Linux only, by its /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = 96, 96, 3
FRAME = 96 * 96 * 3
ACTIONS = "discrete", "box"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--jit-compile", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        task, actions, run = options.worker
        print(json.dumps({"train": train, "resume": resume}[task](actions, run, options)))
        return
    results = {"steps": options.steps, "frame": FRAME, "rows": [measured(options, actions) for actions in ACTIONS]}
    print(table(results))
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


def measured(options, actions):
    """Train in one process, and go on in another."""
    with tempfile.TemporaryDirectory() as folder:
        row = {"actions": actions}
        for task in ("train", "resume"):
            command = [sys.executable, __file__, "--steps", str(options.steps), "--worker", task, actions, folder]
            command += ["--jit-compile"] * options.jit_compile
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            output = subprocess.run(command, capture_output=True, text=True, env=environment)
            if output.returncode:
                raise SystemExit(output.stderr)
            row |= json.loads(output.stdout.splitlines()[-1])
        return row


def environment(actions):
    import gymnasium
    import numpy as np
    from gymnasium.spaces import Box, Discrete

    class Pixels(gymnasium.Env):
        """Images of noise; an episode is terminated with probability 0.005, and truncated after 200 steps."""

        observation_space = Box(0, 255, SIZE, "uint8")
        action_space = Discrete(3) if actions == "discrete" else Box(-1.0, 1.0, (3,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.length = 0
            return self.look(), {}

        def look(self):
            return np.frombuffer(self.np_random.bytes(FRAME), "uint8").reshape(SIZE)

        def step(self, action):
            self.length += 1
            return self.look(), 1.0, bool(self.np_random.random() < 0.005), self.length == 200, {}

    return Pixels


def train(actions, run, options):
    """A replay that grows from next to nothing, with updates all the time; memory in bytes."""
    import kgdists as kg

    agent = kg.agents.SAC(
        environment(actions),
        buffer_size=options.steps,
        n_steps=256,
        gradient_steps=1,
        batch_size=32,
        learning_starts=256,
        epoch_steps=256,
        jit_compile=options.jit_compile,
        seed=0,
    )
    agent.learn(512)
    before, kept = memory("VmRSS"), agent.replay.size
    start = time.perf_counter()
    agent.learn(options.steps - agent.steps)
    seconds = time.perf_counter() - start
    full, peak, kept_full = memory("VmRSS"), memory("VmHWM"), agent.replay.size
    agent.learn(2_048)  # round the ring
    later = memory("VmRSS")
    reset_peak()
    agent.save(run)
    return {
        "network": before - kept * FRAME,
        "full": full,
        "kept": kept_full,
        "added": (full - before) / ((kept_full - kept) * FRAME),
        "peak": peak,
        "later": later,
        "peak_while_saving": memory("VmHWM"),
        "steps_per_second": (kept_full - kept) / seconds,
        "file": sum(x.stat().st_size for x in Path(run).glob("checkpoints/*.zip")),
    }


def resume(actions, run, options):
    import kgdists as kg

    reset_peak()
    agent = kg.agents.SAC.load(run, environment(actions))
    peak = memory("VmHWM")
    agent.learn(256)
    return {"peak_while_loading": peak, "resumed": memory("VmRSS")}


def memory(name):
    """Bytes, by a line of the process' status: VmRSS is what it has now, VmHWM the most it had."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) * 1024


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def table(results):
    wanted = results["steps"] * FRAME / 2**20
    columns = ("network", "full", "peak", "peak_while_saving", "peak_while_loading", "resumed", "file")
    lines = [
        f"{wanted:.0f} MiB of frames; MiB",
        f"| actions | frames held, of their bytes | {' | '.join(columns).replace('_', ' ')} | steps/s |",
        f"| --- | --- |{' --- |' * (len(columns) + 1)}",
    ]
    for row in results["rows"]:
        sizes = " | ".join(f"{row[name] / 2**20:,.0f}" for name in columns)
        lines.append(f"| {row['actions']} | {row['added']:.2f} | {sizes} | {row['steps_per_second']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
