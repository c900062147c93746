"""Environment steps per second of PPO with the nature network on ALE/Pong-v5: kgdists against Stable-Baselines3.

python tests/benchmarks/pong.py --peers .venv-peers/bin/python [--rounds 3] [--out docs/results/pong.json]

Both interpreters need `ale-py` and `opencv-python-headless`. Where other work shares the processors, processor time can
be compared, and time by the wall cannot; take one thread there, since torch's others spin.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from rounds import machine, print_table, ratios, run, spread

# What takes turns: the library, and variables of its environment.
VARIANTS = {
    "kgdists": ("kgdists", {}),
    "kgdists, oneDNN": ("kgdists", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
    "stable-baselines3": ("stable-baselines3", {}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with stable-baselines3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4096, help="of a run")
    parser.add_argument("--threads", type=int, default=1, help="of an operation")
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()
    title = (
        f"PPO on ALE/Pong-v5, runs of {options.steps} steps without their first rollout, "
        f"rounds: {options.rounds}, threads: {options.threads}, {machine()} before"
    )
    results = []
    for seed in range(options.rounds):
        for variant, (library, environment) in VARIANTS.items():
            python = sys.executable if library == "kgdists" else options.peers
            worker = Path(__file__).with_name("pong_worker.py")
            command = [python, worker, library, options.steps, "--seed", seed, "--threads", options.threads]
            before = machine()
            found = json.loads(run(command, environment)[0].splitlines()[-1])
            results.append({"variant": variant, "before": before} | found)
            print(
                f"round {seed + 1}, {variant}: {found['steps_per_second']:.0f} steps/s, "
                f"{found['steps_per_processor_second']:.0f} by processor time",
                file=sys.stderr,
            )
            if options.out:  # already now, lest an interrupted benchmark lose all
                options.out.write_text(json.dumps({"title": title, "results": results}, indent=1) + "\n")
    print(title)
    rows = []
    for variant in VARIANTS:
        row = [variant]
        for key in ("steps_per_second", "steps_per_processor_second"):
            own, peer = (
                [result[key] for result in results if result["variant"] == x] for x in (variant, "stable-baselines3")
            )
            row += [f"{statistics.median(own):.0f}", *spread(ratios(own, peer))]
        rows.append(row)
    of_time = ["{}", "times Stable-Baselines3's", "min", "max"]
    header = ["library", *(x.format("steps/s") for x in of_time), *(x.format("by processor time") for x in of_time)]
    print_table(header, rows)


if __name__ == "__main__":
    main()
