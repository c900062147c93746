"""A variational auto-encoder with binary latent variables, which learns through relaxed samples (Jang et al. 2017)."""

import argparse
import math

import keras
import numpy as np
from keras import ops

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=60)
epochs = parser.parse_args().epochs

keras.utils.set_random_seed(0)
SIZE, ON = 4, 0.25


def bars(n):
    """Images of SIZE x SIZE pixels [n, SIZE^2]: each row and each column is white with probability ON."""
    rows, columns = np.random.random((2, n, SIZE)) < ON
    return (rows[:, :, None] | columns[:, None, :]).reshape(n, -1).astype("float32")


class AutoEncoder(keras.Model):
    """Latent variables z ~ Bernoulli(0.5), pixels ~ Bernoulli(decoder(z)); trained on the evidence lower bound."""

    def __init__(self, num_latents):
        super().__init__()
        self.encoder = kg.Policy(
            keras.layers.Dense(128, "relu"), kg.layers.BernoulliHead(num_latents, boltzmann_tau=0.5)
        )
        self.decoder = kg.Policy(keras.layers.Dense(128, "relu"), kg.layers.BernoulliHead(SIZE * SIZE))
        self.prior = kg.BernoulliDist(np.zeros(num_latents, "float32"))

    def elbo(self, images, exact=False):
        """Log-likelihood of the pixels less the divergence from the prior, in nats per image."""
        q = self.encoder(images)
        z = ops.cast(q.sample_action(), "float32") if exact else q.sample()
        return self.decoder(z).log_proba(images) - q.kl_divergence(self.prior)

    def call(self, images):
        return self.decoder(self.encoder(images).mode()).mean()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return -ops.mean(self.elbo(x))


model = AutoEncoder(num_latents=2 * SIZE)
model.compile(keras.optimizers.Adam(2e-3), jit_compile=True)
history = model.fit(bars(20_000), epochs=epochs, batch_size=200, verbose=0)
held_out = bars(20_000)
bound = -np.mean(model.elbo(held_out, exact=True))
_, counts = np.unique(held_out, axis=0, return_counts=True)
entropy = -np.sum(counts / len(held_out) * np.log(counts / len(held_out)))
print(f"first epoch's loss: {history.history['loss'][0]:.3f} nats per image")
print(f"negative evidence lower bound with exact binary latents: {bound:.3f} nats per image")
print(f"entropy of the images, about the best there is: {entropy:.3f}; without a model: {16 * math.log(2):.3f}")
right = np.mean(np.round(model.predict(held_out, verbose=0)) == held_out)
print(f"pixels reconstructed from 8 bits: {100 * right:.1f} %")
