"""Memory of a PPO rollout of images of 96 x 96 x 3, as the slope of the peak over the length of the rollout.

python tests/benchmarks/rollout_memory.py [--n-steps 256 2048] [--out docs/results/rollout_memory.json]

Each length is a process of its own, which trains for two rollouts.
"""

import argparse
import json
import resource
import sys
from pathlib import Path

import gymnasium
import numpy as np
from rounds import machine, print_table, run

NUM_ENVS = 8
SHAPE = (96, 96, 3)


class Images(gymnasium.Env):
    """Observes noise, in episodes that are cut off after 100 steps."""

    observation_space = gymnasium.spaces.Box(0, 255, SHAPE, "uint8")
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), float(action == 0), False, self.count == 100, {}

    def _observation(self):
        return self.np_random.integers(256, size=SHAPE, dtype="uint8")


def train(n_steps):
    """Bytes of the peak of a training of two rollouts, in this process."""
    from kgdists.agents import PPO

    settings = {"num_envs": NUM_ENVS, "n_steps": n_steps, "batch_size": 256, "n_epochs": 1, "seed": 0}
    PPO(Images, vectorization="sync", **settings).learn(2 * NUM_ENVS * n_steps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-steps", type=int, nargs="+", default=[256, 2048])
    parser.add_argument("--train", type=int, help="measure one length in this process")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()
    if options.train:
        print(train(options.train))
        return
    peaks = [
        int(run([sys.executable, __file__, "--train", n_steps])[0].splitlines()[-1]) for n_steps in options.n_steps
    ]
    frames = [n_steps * NUM_ENVS * int(np.prod(SHAPE)) for n_steps in options.n_steps]
    copies = (peaks[-1] - peaks[0]) / (frames[-1] - frames[0])
    result = {"machine": machine(), "n_steps": options.n_steps, "peaks": peaks, "frames": frames, "copies": copies}
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    rows = [
        [str(n_steps), f"{x / 1e6:.0f}", f"{peak / 1e6:.0f}"]
        for n_steps, x, peak in zip(options.n_steps, frames, peaks, strict=True)
    ]
    print_table(["n_steps", "frames [MB]", "peak [MB]"], rows)
    print(f"\ncopies of the frames: {copies:.3f}")


if __name__ == "__main__":
    main()
