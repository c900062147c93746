"""Wall time of the whole process of `kgdists train CartPole-v1` against that of a Stable-Baselines3 script.

The command also evaluates, writes its run folder and draws the learning curve; the script trains, or also evaluates.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from rounds import WORKER, machine, print_table, ratios, run, spread

COMMAND, SCRIPT, EVALUATED = "kgdists train", "stable-baselines3", "stable-baselines3 + evaluation"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="interpreter with stable-baselines3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-threads", type=int, help="of torch; default: torch's own")
    options = parser.parse_args()

    title = f"CartPole-v1, whole process, rounds: {options.rounds}, {machine()} before"
    threads = ["--threads", options.peer_threads] if options.peer_threads else []
    script = [options.peers, WORKER, "stable-baselines3", "short", tuned_steps(), *threads]
    seconds = {COMMAND: [], SCRIPT: [], EVALUATED: []}
    returns = {COMMAND: [], SCRIPT: [], EVALUATED: []}
    for seed in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "kgdists", "train", "CartPole-v1", "--seed", seed, "--out", folder]
            seconds[COMMAND].append(run(command)[1])
            evaluation = json.loads((Path(folder) / "evaluation.json").read_text())
        returns[COMMAND].append(statistics.fmean(evaluation["returns"]))
        for name, extra in ((SCRIPT, []), (EVALUATED, ["--evaluate"])):
            printed, wall_time = run([*script, "--seed", seed, *extra])
            result = json.loads(printed.splitlines()[-1])
            seconds[name].append(wall_time)
            returns[name].append(result["evaluation"])
        times = ", ".join(f"{name} {values[-1]:.1f} s" for name, values in seconds.items())
        print(f"round {seed + 1} of {options.rounds}: {times}", file=sys.stderr)

    print(title)
    print("{library} {version}: {steps} steps, {backend}, threads: {threads}\n".format(**result))
    header = ["process", "seconds", "min", "max", "times as long as kgdists train", "min", "max", "evaluation"]
    rows = [
        [
            name,
            *spread(seconds[name], 1),
            *spread(ratios(seconds[name], seconds[COMMAND])),
            "" if None in returns[name] else f"{statistics.fmean(returns[name]):.1f}",
        ]
        for name in seconds
    ]
    print_table(header, rows)


def tuned_steps():
    """Steps that the command trains."""
    code = "from kgdists.agents.tuned import TUNED; print(TUNED['CartPole-v1']['ppo'].total_steps)"
    return int(run([sys.executable, "-c", code])[0])


if __name__ == "__main__":
    main()
