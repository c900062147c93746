"""What `import kgdists` costs on top of `import keras`, and whether it pulls in what it should not."""

import argparse
import json
import statistics
import sys

from rounds import machine, print_table, run, spread

FORBIDDEN = ["gymnasium", "matplotlib", "tensorflow_probability"]
CODE = """
import json, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(name for name in {forbidden} if name in sys.modules)]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    title = f"import, rounds: {options.rounds}, {machine()} before"
    seconds = {"keras": [], "kgdists": []}
    found = {}
    for i in range(options.rounds + 1):
        for module, times in seconds.items():
            printed = run([sys.executable, "-c", CODE.format(module=module, forbidden=FORBIDDEN)])[0]
            elapsed, found[module] = json.loads(printed.splitlines()[-1])
            if i > 0:  # the first round fills the caches of the file system
                times.append(elapsed)

    print(f"{title}\n")
    rows = [[module, *spread(times), ", ".join(found[module]) or "none"] for module, times in seconds.items()]
    print_table(["import", "seconds", "min", "max", f"of {', '.join(FORBIDDEN)}"], rows)
    difference = statistics.median(seconds["kgdists"]) - statistics.median(seconds["keras"])
    print(f"\nkgdists - keras: {1000 * difference:.0f} ms (difference of medians)")
    print(f"brought in by kgdists, not by keras: {', '.join(set(found['kgdists']) - set(found['keras'])) or 'none'}")


if __name__ == "__main__":
    main()
