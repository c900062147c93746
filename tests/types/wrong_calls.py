"""Calls that are wrong: mypy reports each line that ends in `# wrong`, and no other."""

import numpy as np

import kgdists as kg
from kgdists.runs import record

x = np.zeros((4, 2), "float32")
p, q = kg.NormalDist(x, x), kg.NormalDist(x, x)
ours: str = kg.__version__

kg.NormalDist(x)  # wrong
kg.NormalDist("mu", x)  # wrong
kg.NormalDist(x, x, seed=0)  # wrong
kg.CategoricalDist(probs="even")  # wrong
kg.CategoricalDist(x, gumbel_tau="hot")  # wrong
kg.BetaDist(x, x, low={})  # wrong
p.sample((2,), seed=0).shape
p.sample("two")  # wrong
p.sample(count=3)  # wrong
p.log_proba()  # wrong
p.log_proba("x")  # wrong
p.kl_divergence(kg.CategoricalDist(x))  # wrong
p.entropy(0)  # wrong
p.entropie()  # wrong
kg.layers.NormalHead("two")  # wrong
kg.layers.NormalHead(2.0)  # wrong
kg.layers.CategoricalHead()  # wrong
kg.layers.MultiCategoricalHead(3)  # wrong
kg.losses.ppo_clip(x, x)  # wrong
kg.returns.gae(x, x, x, x)  # wrong
kg.returns.n_step(x, x, x, x, 0.9, 1.5)  # wrong
kg.divergences.kl_divergence(p, q, num_samples="many")  # wrong
kg.divergences.entropy(p, 100, 7, 8, 9, 10)  # wrong
kg.mixtures.fit(x, "three")  # wrong
kg.mixtures.fit(x, 3, covariance=1)  # wrong
kg.envs.make_envs("CartPole-v1", "four")  # wrong
kg.envs.make_envs(3, 4)  # wrong
agent = kg.agents.PPO("CartPole-v1", num_envs=2)
agent.learn("1000")  # wrong
agent.evaluate(episodes=None)  # wrong
agent.save(3)  # wrong
agent.policy(x).anything
kg.agents.PPO(env=3)  # wrong
kg.agents.PPOConfig(n_epoch=3)  # wrong
kg.agents.PPOConfig(n_epochs="3")  # wrong
kg.agents.ES("CartPole-v1").learn()  # wrong
search = kg.evolution.SNES(np.sum, objective_sense="min", solution_length=3, stdev_init=1.0)
search.run("10")  # wrong
kg.evolution.SNES(np.sum, objective_sense="least", solution_length=3, stdev_init=1.0)  # wrong
kg.targets.DiagonalGaussianMixture(x)  # wrong
record(agent.policy, "CartPole-v1", "film.gif", episodes="2")  # wrong
evaluation = agent.evaluate()
score: str = evaluation.mean  # wrong
