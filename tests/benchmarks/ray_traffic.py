"""Bytes that a generation of `RaySearch` moves between machines, as counted by the network interface, and as derived.

Ray's nodes are started on this machine, each with an object store of its own, so that what goes from one to another
goes through the loopback interface. Linux only. For example `python tests/benchmarks/ray_traffic.py --length 1000000`.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import ray
import tensorflow as tf
from ray.cluster_utils import Cluster

from kgdists.evolution import SNES
from kgdists.evolution.distributed.ray_search import RaySearch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--length", type=int, default=1_000_000)
parser.add_argument("--popsize", type=int, default=32)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--generations", type=int, default=10)
args = parser.parse_args()


def sphere(x):
    return tf.reduce_sum(x * x, axis=-1)


def transferred():
    """Bytes that the loopback interface has received since the machine started."""
    [line] = [line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:")]
    return int(line.split()[1])


cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 10**9})
for _ in range(args.workers):
    cluster.add_node(num_cpus=1, object_store_memory=10**9)
ray.init(address=cluster.address, log_to_driver=False)

searcher = SNES(
    sphere,
    objective_sense="min",
    solution_length=args.length,
    popsize=args.popsize,
    stdev_init=1.0,
    center_init=1.0,
    seed=0,
)
with RaySearch(searcher, args.workers) as search:
    search.run(2, verbose=0)  # compiles
    time.sleep(5)
    before, start = transferred(), time.perf_counter()
    time.sleep(10)
    at_rest = (transferred() - before) / 10  # a second: Ray's own
    before, start = transferred(), time.perf_counter()
    search.run(args.generations, verbose=0)
    seconds = time.perf_counter() - start
    measured = (transferred() - before - at_rest * seconds) / args.generations
    parts = search.traffic
derived = args.workers * (parts["parameters"] + parts["sums"]) + parts["rows"]
print(
    json.dumps(
        vars(args)
        | {
            "measured": round(measured),
            "derived": derived,
            "population": 4 * args.length * args.popsize,
            "at_rest_per_second": round(at_rest),
            "seconds_per_generation": seconds / args.generations,
            "ray": ray.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
        indent=2,
    )
)
ray.shutdown()
cluster.shutdown()
