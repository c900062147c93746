"""Which layers lose their fast kernels: in a loop or not, under XLA or not.

python tests/benchmarks/layers_in_loops.py [--rounds 5] [--only Conv3D GRU] [--out docs/results/layers_in_loops.json]

A step is a loss, its gradients by the weights and by the inputs, and a step of gradient descent; a step forward is the
layer alone. In a loop, a `tf.while_loop` takes STEPS of them on different rows, as an update of an agent does. The four
forms take turns; the table has the minima of the rounds, which a busy machine leaves comparable.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rounds import machine, print_table

STEPS = 4
PARTS = ("gradients", "forward")
FORMS = {"neither": (False, False), "XLA": (False, True), "loop": (True, False), "loop, XLA": (True, True)}


class SelfAttention(layers.Layer):
    """`MultiHeadAttention` of a sequence to itself."""

    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(4, 16)

    def call(self, x):
        return self.attention(x, x)


def nature():
    """The network of Mnih et al. 2015."""
    return keras.Sequential(
        [
            layers.Conv2D(32, 8, 4, activation="relu"),
            layers.Conv2D(64, 4, 2, activation="relu"),
            layers.Conv2D(64, 3, 1, activation="relu"),
            layers.Flatten(),
            layers.Dense(512, "relu"),
        ]
    )


# Name -> what makes the layer, and the shape of its inputs; ints are its range of whole numbers.
LAYERS = {
    "nature network": (nature, (64, 84, 84, 4), None),
    "Conv1D": (lambda: layers.Conv1D(64, 5), (64, 128, 32), None),
    "Conv2D, 8 x 8, strides 4": (lambda: layers.Conv2D(32, 8, 4), (64, 84, 84, 4), None),
    "Conv2D, 3 x 3": (lambda: layers.Conv2D(64, 3), (64, 20, 20, 32), None),
    "Conv2D, 3 x 3, dilated": (lambda: layers.Conv2D(64, 3, dilation_rate=2), (64, 20, 20, 32), None),
    "Conv2D, 1 x 1": (lambda: layers.Conv2D(64, 1), (64, 20, 20, 32), None),
    "Conv2D, 3 x 3, small": (lambda: layers.Conv2D(16, 3), (64, 7, 7, 3), None),
    "Conv2D, 3 x 3, 4 groups": (lambda: layers.Conv2D(64, 3, groups=4), (64, 20, 20, 32), None),
    "Conv3D": (lambda: layers.Conv3D(32, 3), (16, 8, 16, 16, 16), None),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(32, 3, 2), (64, 10, 10, 32), None),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), (64, 20, 20, 32), None),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(64, 3), (64, 20, 20, 32), None),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (64, 40, 40, 32), None),
    "MaxPooling2D, overlapping": (lambda: layers.MaxPooling2D(3, 2), (64, 40, 40, 32), None),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), (64, 40, 40, 32), None),
    "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, (64, 40, 40, 32), None),
    "UpSampling2D": (lambda: layers.UpSampling2D(2), (64, 20, 20, 32), None),
    "LSTM": (lambda: layers.LSTM(64), (64, 16, 64), None),
    "GRU": (lambda: layers.GRU(64), (64, 16, 64), None),
    "Dense": (lambda: layers.Dense(256), (256, 256), None),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", (None, 64)), (64, 32, 64), None),
    "MultiHeadAttention": (SelfAttention, (64, 32, 64), None),
    "Embedding": (lambda: layers.Embedding(1000, 64), (64, 32), 1000),
    "LayerNormalization": (layers.LayerNormalization, (256, 256), None),
    "GroupNormalization": (lambda: layers.GroupNormalization(8), (64, 20, 20, 32), None),
    "BatchNormalization": (layers.BatchNormalization, (64, 20, 20, 32), None),
    "Flatten and relu": (lambda: keras.Sequential([layers.Flatten(), layers.ReLU()]), (64, 20, 20, 32), None),
}


def forms(name, part):
    """Form -> a function without arguments that takes one step, or as many as its loop has, and their number."""
    make, shape, top = LAYERS[name]
    rng = np.random.default_rng(0)
    rows = rng.integers(top, size=(STEPS, *shape)) if top else rng.normal(size=(STEPS, *shape)).astype("float32")
    rows, layer = tf.constant(rows), make()
    targets = tf.random.stateless_normal(layer(rows[0]).shape, (0, 0))

    def forward(x):
        return tf.reduce_mean(layer(x))

    def step(x):
        if part == "forward":
            return forward(x)
        with tf.GradientTape() as tape:
            inputs = [] if top else [x]
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(layer(x) - targets))
        weights = layer.trainable_variables
        gradients = tape.gradient(loss, [*weights, *inputs])
        for weight, gradient in zip(weights, gradients, strict=False):
            weight.assign_sub(1e-3 * tf.convert_to_tensor(gradient))
        # So that no gradient is left out because nobody reads it.
        return loss + sum(1e-20 * tf.reduce_sum(x) for x in gradients[len(weights) :])

    def loop(rows):
        start = (0, tf.constant(0.0))
        return tf.while_loop(lambda i, _: i < STEPS, lambda i, total: (i + 1, total + step(rows[i])), start)[1]

    made = {}
    for form, (is_loop, jit_compile) in FORMS.items():
        function = tf.function(loop if is_loop else step, jit_compile=jit_compile, autograph=False)
        argument = rows if is_loop else rows[0]
        made[form] = lambda function=function, argument=argument: float(function(argument)), STEPS if is_loop else 1
    return made


def milliseconds(name, part, rounds):
    """Milliseconds of a step in each form, the minimum of the rounds."""
    made = forms(name, part)
    times = {form: [] for form in made}
    for call, _ in made.values():
        call()  # compiles
    for _ in range(rounds):
        for form, (call, steps) in made.items():
            start, calls = time.perf_counter(), 0
            while calls < 1 or time.perf_counter() - start < 0.1:
                before = time.perf_counter()
                call()
                times[form].append((time.perf_counter() - before) / steps * 1e3)
                calls += 1
    return {form: min(found) for form, found in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of an operation; 0 is TensorFlow's own choice")
    parser.add_argument("--only", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--out", type=Path, help="JSON file for all measurements")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    result = {
        "machine": machine(),
        "threads": options.threads,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "milliseconds": {part: {} for part in PARTS},
    }
    for part, found in result["milliseconds"].items():
        for name in options.only:
            found[name] = {form: round(x, 3) for form, x in milliseconds(name, part, options.rounds).items()}
            print(part, name, found[name], file=sys.stderr)
            if options.out:  # already now, lest an interrupted benchmark lose all
                options.out.write_text(json.dumps(result, indent=1) + "\n")
    for part, found in result["milliseconds"].items():
        print(f"\n{part}\n")
        rows = [
            [
                name,
                *(f"{x:.3g}" for x in of.values()),
                f"{of['loop, XLA'] / of['loop']:.2g}",
                f"{of['XLA'] / of['neither']:.2g}",
            ]
            for name, of in found.items()
        ]
        print_table(["layer", *FORMS, "XLA in a loop: times as long", "XLA without one"], rows)


if __name__ == "__main__":
    main()
