"""Search for the weights of a policy on a Gymnasium environment."""

import contextlib
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector import VectorEnv

from kgdists.core.callback_list import Callbacks, as_callbacks, run_epochs
from kgdists.core.checks import choice, count
from kgdists.core.choices import VECTORIZATIONS
from kgdists.core.progress import ProgressBar, Verbosity
from kgdists.core.types import Integer, Tensor
from kgdists.envs.array_observations import Encoding
from kgdists.envs.evaluation import Evaluation, step_limit
from kgdists.envs.given_env import is_alone
from kgdists.envs.make import Env
from kgdists.evolution import generations
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.evolution.policy_search.episodes import Episodes
from kgdists.evolution.policy_search.members import Members
from kgdists.evolution.searcher import Searcher
from kgdists.layers.running_normalization import normalized_leaves, running_normalizations
from kgdists.policy import Policy, split_mask
from kgdists.spaces import check_fits

__all__ = ["PolicySearch"]


class PolicySearch:
    """A search for the weights of a policy whose episodes have the highest return.

    The weights of each member of a population are a vector; the whole population acts in one compiled call, and its
    environments are stepped together. Layers of the trunk that normalise what is observed, and have a method
    `update_moments` such as `kgdists.layers.RunningNormalization`, get the statistics of all members' observations
    between two generations: within one, all act on the same.

    After each generation the policy has the weights of the center.

    Parameters
    ----------
    policy : kgdists.Policy, or callable
        Its trainable weights are where the search starts. A function makes it for the environments.
    env : str, callable, gymnasium.Env or gymnasium.vector.VectorEnv
        An id, a function that makes one environment, one environment itself, or a vector environment.
    searcher : str or class
        A name in `kgdists.evolution.SEARCHERS`, `"pgpe"` for instance, or a subclass of `Searcher`.
    popsize : int
        Solutions of a generation or, with `num_interactions`, the number drawn at a time.
    episodes : int, >= 1
        Of each solution, whose fitness is their mean return.
    max_steps : None or int, >= 1
        Steps after which an episode is cut off. None: 10,000, but no less than the limit of the environment.
    num_interactions : None or int
        Keep drawing solutions until the generation has taken this many steps: short episodes make large populations.
        The update is compiled anew for each size of a population, a multiple of `popsize`.
    popsize_max : None or int
        The most solutions of a generation then.
    sample_actions : bool
        Draw actions instead of taking the most probable ones.
    num_envs : None or int
        Environments stepped together, at best a multiple of `episodes`; None is as many as a population has episodes.
    log_info : sequence of str
        Entries of the infos at the ends of episodes whose means over the last 100 episodes are logged.
    seed : None or int, >= 0
        Of the populations, the environments and the actions.
    encoding : None or kgdists.envs.array_observations.Encoding
        How other observations than arrays become arrays; None is the default one.
    vectorization : str
        As for `kgdists.envs.make_envs`. "auto": from 16 environments on "compiled", whole generations in one program,
        where the environment has such a version; else "native" for CartPole, or "sync".
    **options
        Further arguments of the searcher, such as `stdev_init`.

    Examples
    --------
    >>> import gymnasium, keras, kgdists as kg
    >>> from kgdists.evolution import PolicySearch
    >>> trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "tanh")])
    >>> policy = kg.Policy(trunk, kg.layers.CategoricalHead(2))
    >>> search = PolicySearch(policy, "CartPole-v1", "snes", popsize=10, stdev_init=0.5, seed=0)
    >>> history = search.run(2, verbose=0)
    >>> search.evaluate(episodes=10, seed=0)
    Evaluation(returns=..., lengths=...)
    """

    def __init__(
        self,
        policy: Policy | Callable[[VectorEnv], Policy],
        env: Env,
        searcher: str | type[Searcher] = "pgpe",
        *,
        popsize: Integer = 100,
        episodes: Integer = 1,
        max_steps: Integer | None = None,
        num_interactions: Integer | None = None,
        popsize_max: Integer | None = None,
        sample_actions: bool = False,
        num_envs: Integer | None = None,
        log_info: Sequence[str] = (),
        seed: Integer | None = None,
        encoding: Encoding | None = None,
        vectorization: str = "auto",
        **options: Any,
    ) -> None:
        popsize, episodes = count("popsize", popsize), count("episodes", episodes)
        num_interactions = None if num_interactions is None else count("num_interactions", num_interactions)
        popsize_max = None if popsize_max is None else count("popsize_max", popsize_max)
        if num_interactions is None and popsize_max is not None:
            raise ValueError(f"`popsize_max` goes with `num_interactions`. Received: popsize_max={popsize_max} alone")
        if popsize_max is not None and popsize_max < popsize:
            raise ValueError(
                f"`popsize_max` must be at least `popsize`. Received: popsize_max={popsize_max}, popsize={popsize}"
            )
        seed = count("seed", seed, least=0, optional=True)
        if isinstance(searcher, str):
            choice("searcher", searcher, SEARCHERS)
        choice("vectorization", vectorization, VECTORIZATIONS)
        self.env = env
        self.popsize, self.popsize_max, self.num_interactions = popsize, popsize_max, num_interactions
        self.num_episodes, self.sample_actions = episodes, sample_actions
        self.seed = np.random.default_rng(seed).integers(2**31).item() if seed is None else seed
        if num_envs is None:
            num_envs = 1 if is_alone(env) else popsize * episodes
        self._episodes = Episodes(env, num_envs, max_steps, encoding, log_info, vectorization)
        with contextlib.ExitStack() as opened:
            opened.callback(self._episodes.close)  # which may hold a robot or a licence
            self.policy = policy = policy if isinstance(policy, keras.Model) else policy(self.envs)
            check_fits(policy(self._episodes.example()), self.envs.single_action_space)
            self._members = Members(policy)
            policy.optimizer = getattr(policy, "optimizer", None)  # where Keras' callbacks look for it
            self._normalizations = running_normalizations(policy.trunk)
            is_nested = keras.tree.is_nested(split_mask(self.example())[0])
            self._leaves = normalized_leaves(policy, self.example()) if is_nested else {}
            make = SEARCHERS[searcher] if isinstance(searcher, str) else searcher
            self.searcher = make(
                None,
                objective_sense="max",
                solution_length=self._members.length,
                popsize=popsize,
                center_init=self._members.weights(),
                seed=self.seed,
                **options,
            )
            opened.pop_all()
        self.state = self.searcher.init()
        self.steps = 0
        self.is_sound = True  # not so in the middle of a change
        self._has_said_cut = max_steps is not None
        self.recent_returns: deque[float] = deque(maxlen=100)
        self.recent_lengths: deque[int] = deque(maxlen=100)
        self._compiled_ask = tf.function(self._ask, jit_compile=True, autograph=False)
        self._compiled_tell = tf.function(self._tell, jit_compile=True, autograph=False)

    @property
    def envs(self) -> VectorEnv:
        """The environments that populations play in."""
        return self._episodes.envs

    @property
    def is_compiled(self) -> bool:
        """Whether whole episodes of a population are played in one program."""
        return self._episodes.is_compiled

    def example(self) -> Any:
        """One observation of ones, behind a batch axis."""
        return self._episodes.example()

    def run(
        self, num_generations: Integer, callbacks: Callbacks = None, verbose: Verbosity = "auto"
    ) -> keras.callbacks.History:
        """Search for a number of generations; see `learn`."""
        num_generations = count("num_generations", num_generations)
        last_epoch = int(self.state.generation) + num_generations
        bar = ProgressBar(num_generations, verbose, [*self._episodes.infos.recent], "generation")
        return self._search(callbacks, bar, last_epoch=last_epoch)

    def learn(
        self, total_steps: Integer, callbacks: Callbacks = None, verbose: Verbosity = "auto"
    ) -> keras.callbacks.History:
        """Search until this many environment steps are taken, rounded up to whole generations.

        Parameters
        ----------
        total_steps : int, >= 1
            Steps of all environments together, on top of those already taken.
        callbacks : None or list of keras.callbacks.Callback
            An epoch is one generation; `callback.model` is the policy.
        verbose : {"auto", 0, 1, 2}
            As for Keras' `fit`: 0 is silence, 1 a line of progress, 2 a line for each generation; "auto" is 1.

        Returns
        -------
        keras.callbacks.History
            One entry per generation of `return` and `length` (means of the last 100 episodes), `steps`, the number of
            solutions `popsize`, their best and mean fitness, and the `stdev` of the weights (root mean square).

        Raises
        ------
        FloatingPointError
            If the center or the standard deviation stops being finite; the search stays as it was before.
        ValueError
            If weights of the policy have constraints or regularizers, or statistics that are not of observations.
        """
        total_steps = count("total_steps", total_steps)
        bar = ProgressBar(total_steps, verbose, [*self._episodes.infos.recent])
        return self._search(callbacks, bar, last_step=self.steps + total_steps)

    def _search(
        self, callbacks: Callbacks, bar: ProgressBar, last_epoch: int | None = None, last_step: float = math.inf
    ) -> keras.callbacks.History:
        self.check()
        return run_epochs(
            self.step,
            self.policy,
            [*as_callbacks(callbacks), bar],
            epoch=int(self.state.generation),
            last_epoch=last_epoch,
            first_step=self.steps,
            last_step=last_step,
        )

    def check(self) -> None:
        """Raise, before the first generation, if the policy cannot be searched.

        Raises
        ------
        ValueError
            If its weights have constraints or regularizers, or statistics that are not of observations.
        """
        if not self.steps:  # a search that was loaded goes on as it did
            _check_free(self.policy)
            normalized_leaves(self.policy, self._episodes.example())

    def step(self) -> dict[str, float]:
        """One generation: play the episodes of a population, and move the center to the better solutions.

        Returns
        -------
        dict of name -> number, as in the history of `learn`.
        """
        start = time.perf_counter()
        samples, played = self._population()  # an environment's error leaves the search as it is
        fitnesses = np.concatenate([block.returns.mean(axis=1) for block in played])
        lengths = np.concatenate([block.lengths for block in played])
        state, center, stdev = self._compiled_tell(self.state, samples, tf.constant(fitnesses))
        if not (np.isfinite(center).all() and np.isfinite(stdev)):
            raise FloatingPointError(f"The search diverged after {self.steps} steps: its center or stdev is not finite")
        self.is_sound = False
        self.state = state
        self._members.assign(center)
        for layer in self._normalizations:
            for block in played:
                layer.update_moments(**vars(block.moments[self._leaf(layer)]))
        self.steps += int(lengths.sum())
        cut = sum(block.cut for block in played)
        if cut and not self._has_said_cut:
            self._has_said_cut = True
            warnings.warn(
                f"{cut} of {lengths.size} episodes were cut off after {lengths.max()} steps, where the environment "
                "does not end them; `max_steps` sets another limit",
                UserWarning,
                stacklevel=3,
            )
        for block in played:
            self.recent_returns.extend(block.returns.ravel().tolist())
            self.recent_lengths.extend(block.lengths.ravel().tolist())
        self.is_sound = True
        return {
            "steps": self.steps,
            "return": float(np.mean(self.recent_returns)),
            "length": float(np.mean(self.recent_lengths)),
            **self._episodes.infos.means(),
            "popsize": len(fitnesses),
            "best_fitness": float(np.nanmax(fitnesses)),
            "mean_fitness": float(np.nanmean(fitnesses)),
            "stdev": float(stdev),
            "steps_per_second": int(lengths.sum()) / (time.perf_counter() - start),
        }

    def _population(self):
        """The samples of this generation, and the episodes of each block of them."""
        generation, played, interactions = int(self.state.generation), [], 0
        blocks: list[Tensor] = []
        while True:
            first = self.popsize * len(blocks)
            samples, rows = self._compiled_ask(self.state, tf.constant(first, "int64"))
            blocks.append(samples)
            played.append(
                self._episodes.play(
                    self._members,
                    rows,
                    self.num_episodes,
                    (self.seed, generation, first),
                    sample_actions=self.sample_actions,
                    leaves=sorted({*map(self._leaf, self._normalizations)}),
                    with_infos=True,
                )
            )
            interactions += played[-1].lengths.sum()
            if self.num_interactions is None or interactions >= self.num_interactions:
                break
            if self.popsize_max is not None and first + 2 * self.popsize > self.popsize_max:
                break
        return tf.concat(blocks, axis=0), played

    def _leaf(self, layer):
        """Which leaf of an observation a layer that keeps statistics sees."""
        return self._leaves.get(id(layer.mean), 0)

    def _ask(self, state, first_row):
        samples = self.searcher.ask(state, self.popsize, first_row)
        return samples, self.searcher.decode(samples)

    def _tell(self, state, samples, fitnesses):
        state = self.searcher._tell_asked(state, samples, fitnesses)
        return state, self.searcher.decode(state.distribution.mu), generations.stdev(state.distribution)

    def evaluate(
        self,
        episodes: Integer = 100,
        deterministic: bool = True,
        seed: Integer | None = None,
        max_steps: Integer | None = None,
    ) -> Evaluation:
        """Play whole episodes with the center's weights, without searching, in the environments of the search.

        Parameters
        ----------
        episodes : int, >= 1
        deterministic : bool
            Take the most probable action, or draw one.
        seed : None or int, >= 0
            Of the environments and the drawn actions.
        max_steps : None or int, >= 1
            Steps after which an episode is cut off, and counted as such. None: 10,000, but no less than the limit of
            the environment, nor than twice the longest of the last 100 episodes.

        Returns
        -------
        Evaluation, with `mean`, `std`, `returns`, `lengths` and `cut`.
        """
        episodes = count("episodes", episodes)
        seed = count("seed", seed, least=0, optional=True)
        limit = step_limit(self.envs, max_steps, max(self.recent_lengths, default=0))
        seed = np.random.default_rng().integers(2**31).item() if seed is None else seed
        # Each environment plays the same number, so that short episodes are not favoured.
        num_envs = self._episodes.num_envs
        rows = np.tile(self._members.weights(), (-(-episodes // num_envs), 1))
        played = self._episodes.play(
            self._members,
            rows,
            num_envs,
            (seed,),
            sample_actions=not deterministic,
            total=episodes,
            max_steps=limit,
        )
        returns, lengths = (x.ravel()[:episodes].tolist() for x in (played.returns, played.lengths))
        return Evaluation(tuple(returns), tuple(lengths), played.cut)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a search remembers beside its policy, a dict of arrays."""
        leaves = tf.nest.flatten(self.state)
        return {f"state_{i}": np.array(x) for i, x in enumerate(leaves)} | {
            "steps": np.array(self.steps),
            "search_seed": np.array(self.seed),
            "recent_returns": np.array(self.recent_returns),
            "recent_lengths": np.array(self.recent_lengths),
            **self._episodes.infos.arrays(),
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the arrays of a search of the same arguments, whose policy this one has."""
        leaves = tf.nest.flatten(self.state)
        for i, x in enumerate(leaves):
            if np.shape(arrays[f"state_{i}"]) != tuple(x.shape):
                raise ValueError(
                    f"A search goes on from a state of its own shapes, {tuple(x.shape)}. "
                    f"Received: {np.shape(arrays[f'state_{i}'])}"
                )
        leaves = [tf.constant(arrays[f"state_{i}"], x.dtype) for i, x in enumerate(leaves)]
        self.state = tf.nest.pack_sequence_as(self.state, leaves)
        self.steps, self.seed = int(arrays["steps"]), int(arrays["search_seed"])
        self.recent_returns = deque(arrays["recent_returns"].tolist(), maxlen=100)
        self.recent_lengths = deque(arrays["recent_lengths"].tolist(), maxlen=100)
        self._episodes.infos.restore(arrays)


def _check_free(policy):
    """Raise if weights are not free to be anything: a search draws them, and follows no gradient."""
    for name in ("constraint", "regularizer"):
        bad = [x.path for x in policy.trainable_variables if getattr(x, name, None) is not None]
        if bad:
            raise ValueError(
                f"A search draws weights freely: the policy must have no {name} of weights. Received: one of "
                f"{', '.join(bad)}"
            )
