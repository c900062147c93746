"""Exported policies: bytes of the files, distance from the policy, and microseconds of a call.

Needs kgdists[export]. Each format, and kgdists itself, has one thread; they take turns within a round.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}

import gymnasium  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary  # noqa: E402
from rounds import machine, print_table  # noqa: E402

import kgdists as kg  # noqa: E402
from kgdists.models.serving import by_path  # noqa: E402

SPACES = {
    "categorical": Discrete(5),
    "squashed normal": Box(-1.0, 1.0, (2,)),
    "composite": Dict(move=Discrete(3), flags=MultiBinary(2), push=Box(-1.0, 1.0, (2,))),
}
BATCHES = (1, 256)
PACKAGES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx", "ai-edge-litert")


def made(space: gymnasium.Space) -> kg.Policy:
    """A policy of eight observations, which it normalizes, and two layers of 64."""
    normalization = kg.layers.RunningNormalization()
    layers = [normalization, keras.layers.Dense(64, "tanh"), keras.layers.Dense(64, "tanh")]
    policy = kg.Policy(keras.Sequential([keras.Input((8,)), *layers]), kg.head_for(space, kernel_gain=1.0))
    normalization.update(np.random.default_rng(0).normal(3.0, 2.0, (1_000, 8)))
    return policy


def saved_model(path):
    """The function of observations that the file is, and so on."""
    served = tf.saved_model.load(path)
    return lambda x: {name: out.numpy() for name, out in served.serve(x).items()}


def onnx(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(names, {"observations": x}), strict=True))


def litert(path):
    run = Interpreter(path, num_threads=1).get_signature_runner()
    return lambda x: run(observations=x)


FORMATS = {"tf_saved_model": (saved_model, ""), "onnx": (onnx, ".onnx"), "litert": (litert, ".tflite")}


def acts(function):
    """As the formats: named arrays of the actions that a function of kgdists gives."""
    return lambda x: by_path("mode_action", keras.tree.map_structure(np.asarray, function(x)))


def size(path):
    """Bytes of a file, or of all files in a folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def microseconds(function, x, calls):
    """Of one call, the median of some."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function(x)
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times)


def measured(name, folder, rounds, calls):
    """Rows of results of one policy."""
    policy = made(SPACES[name])
    functions = {
        "policy(x)": acts(lambda x: policy(x).mode_action()),
        "policy.predict(x)": acts(lambda x: policy.predict(x, verbose=0, batch_size=len(x)).mode_action()),
        "tf.function": acts(tf.function(lambda x: policy(x).mode_action(), autograph=False, reduce_retracing=True)),
    }
    sizes, many = {}, np.random.default_rng(1).normal(3.0, 4.0, (10_000, 8)).astype("float32")
    expected = functions["policy(x)"](many)
    for format, (load, suffix) in FORMATS.items():
        path = folder / f"{name}{suffix}"
        policy.export(str(path), format=format, endpoint="mode_action", verbose=False)
        functions[format], sizes[format] = load(str(path)), size(path)
    rows = []
    for batch in BATCHES:
        x, times = many[:batch], {of: [] for of in functions}
        for i in range(rounds + 1):
            for of, function in functions.items():
                took = microseconds(function, x, calls)
                if i > 0:  # the first round compiles
                    times[of].append(took)
        for of, values in times.items():
            error = max(float(np.abs(functions[of](many)[key] - want).max()) for key, want in expected.items())
            row = {"policy": name, "called": of, "batch": batch, "bytes": sizes.get(of), "error": error}
            rows.append(row | {"median": statistics.median(values), "least": min(values), "most": max(values)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    where = {"machine": machine(), "versions": {package: version(package) for package in PACKAGES}}
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for name in SPACES for row in measured(name, Path(folder), options.rounds, options.calls)]
    if options.out is not None:
        options.out.write_text(json.dumps(where | {"rounds": options.rounds, "rows": rows}, indent=1) + "\n")
    print(f"{where['machine']}; microseconds of a call, median of {options.rounds} rounds (least to most)\n")
    cells = {(row["policy"], row["called"], row["batch"]): row for row in rows}
    called = ["policy(x)", "policy.predict(x)", "tf.function", *FORMATS]
    table = []
    for name in SPACES:
        for of in called:
            of_batches = [cells[name, of, batch] for batch in BATCHES]
            kilobytes = f"{of_batches[0]['bytes'] / 1000:.0f} kB" if of_batches[0]["bytes"] else ""
            times = [f"{row['median']:,.0f} ({row['least']:,.0f} to {row['most']:,.0f})" for row in of_batches]
            table.append([name, of, kilobytes, *times, f"{max(row['error'] for row in of_batches):.0e}"])
    print_table(["policy", "called", "size", *(f"batch {batch}" for batch in BATCHES), "error"], table)


if __name__ == "__main__":
    main()
