import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.evolution import SNES
from kgdists.evolution.algorithms import SEARCHERS
from kgdists.evolution.policy_search.search import PolicySearch
from tests.agents.helpers import Bandit, Counter, Noise, counters

eager = pytest.mark.usefixtures("eagerly")


def policy_for(num_inputs, num_choices, *layers):
    trunk = keras.Sequential([keras.Input((num_inputs,)), *(layers or [keras.layers.Identity()])])
    head = kg.layers.CategoricalHead(num_choices, random_seed=0)
    return kg.Policy(trunk, head)


def made(env=Noise, searcher="snes", policy=None, **options):
    policy = policy_for(2, 2) if policy is None else policy
    return PolicySearch(policy, env, searcher, **{"popsize": 4, "stdev_init": 0.5, "seed": 0} | options)


def weights(search):
    return np.concatenate([np.ravel(variable) for variable in search.policy.trainable_variables])


OPTIONS = {"cem": {"parenthood_ratio": 0.5}, "pgpe": {"center_learning_rate": 0.5}}


@pytest.mark.few(1)
@eager
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_every_searcher_finds_the_action_that_pays(searcher):
    policy, observation = policy_for(1, 4), np.ones((1, 1), "float32")
    policy(observation)
    policy.head.trainable_variables[1].assign([5.0, 0.0, 0.0, 0.0])  # not the one that it begins with
    options = {"popsize": 20, "stdev_init": 3.0} | OPTIONS.get(searcher, {})
    search = made(Bandit, searcher, policy, **options)
    assert policy(observation).mode_action() == 0
    search.run(6)
    assert policy(observation).mode_action() == 2


@eager
def test_the_policy_has_the_weights_of_the_center():
    search = made()
    before = weights(search)
    np.testing.assert_array_equal(search.state.distribution.mu, before)
    search.run(2)
    np.testing.assert_array_equal(search.state.distribution.mu, weights(search))
    assert (weights(search) != before).all()


def test_a_generation_is_asked_for_played_and_told():
    search = made(Bandit, policy=policy_for(1, 4), popsize=6)
    pure = SNES(None, objective_sense="max", solution_length=8, popsize=6, center_init=weights(search), stdev_init=0.5)
    state = search.state
    samples = pure.ask(state)
    chosen = np.argmax(samples[:, :4] + samples[:, 4:], axis=1)  # kernel of an observation of 1, and bias
    search.step()
    expected = pure.tell(state, samples, tf.constant(chosen == 2, "float32"))
    np.testing.assert_allclose(search.state.distribution.mu, expected.distribution.mu, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(search.state.distribution.sigma, expected.distribution.sigma, rtol=1e-5)


@eager
def test_the_history_counts_steps_and_solutions():
    search = made(counters(2, 5, 3, 1, 2, 5, 3, 1), episodes=2)
    history = search.run(3).history
    assert history["steps"] == [22, 44, 66] and history["popsize"] == [4, 4, 4]
    assert history["return"][0] == pytest.approx((3 + 15 + 6 + 1) / 4)
    assert history["length"][0] == pytest.approx(11 / 4)
    assert history["best_fitness"][0] == 9.0 and history["mean_fitness"][0] == pytest.approx(25 / 4)
    assert search.steps == 66


@eager
def test_a_budget_of_steps_is_rounded_up_to_whole_generations():
    search = made(counters(3, 3, 3, 3))
    assert search.learn(13).history["steps"] == [12, 24]
    assert search.learn(12).history["steps"] == [36]


@eager
def test_a_population_grows_until_the_interactions_are_enough():
    search = made(counters(1, 2, 1, 1), num_interactions=12)
    assert search.run(1).history["popsize"] == [12] and search.steps == 15
    search = made(counters(1, 2, 1, 1), num_interactions=12, popsize_max=11)
    assert search.run(1).history["popsize"] == [8]


@eager
def test_a_grown_population_is_the_large_one():
    small, large = made(), made(popsize=8)
    blocks = [small._ask(small.state, tf.constant(first, "int64"))[0] for first in (0, 4)]
    np.testing.assert_array_equal(np.concatenate(blocks), large._ask(large.state, tf.constant(0, "int64"))[0])


@pytest.mark.exhaustive
@eager
def test_the_seed_decides_everything():
    a, again, b = (made(seed=seed, sample_actions=True, max_steps=5) for seed in (0, 0, 1))
    for search in (a, again, b):
        search.run(2)
    np.testing.assert_array_equal(weights(a), weights(again))
    assert a.recent_returns == again.recent_returns
    assert (weights(a) != weights(b)).all()


@pytest.mark.exhaustive
@eager
def test_a_restored_search_goes_on_bit_for_bit():
    def normalized():
        return policy_for(2, 2, kg.layers.RunningNormalization())

    whole, first = made(policy=normalized(), max_steps=5), made(policy=normalized(), max_steps=5)
    whole.run(4)
    first.run(2)
    rest = made(policy=first.policy, seed=9, max_steps=5)
    rest.restore(first.arrays())
    rest.run(2)
    np.testing.assert_array_equal(weights(rest), weights(whole))
    for x, y in zip(rest.arrays().values(), whole.arrays().values(), strict=True):
        np.testing.assert_array_equal(x, y)


@eager
def test_what_all_have_observed_is_normalised_for_all():
    normalization = kg.layers.RunningNormalization()
    search = made(counters(2, 5, 3, 1), policy=policy_for(2, 2, normalization))
    search.run(1)
    seen = np.array([[1, count] for length in (2, 5, 3, 1) for count in range(length)])
    assert normalization.count == 11
    np.testing.assert_allclose(normalization.mean, seen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(normalization.variance, seen.var(axis=0), atol=1e-6)


@eager
def test_an_evaluation_plays_as_many_episodes_as_asked_for():
    search = made(lambda: Counter(3))
    evaluation = search.evaluate(5, seed=0)
    assert evaluation.returns == (6.0,) * 5 and evaluation.lengths == (3,) * 5
    assert evaluation.mean == 6.0 and search.steps == 0


@eager
def test_an_evaluation_follows_its_seed():
    search = made()
    a, again, b = (search.evaluate(4, deterministic=False, seed=seed) for seed in (0, 0, 1))
    assert a == again and a.returns != b.returns


@eager
def test_callbacks_may_stop_the_search():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    assert len(made().run(5, [Stop()]).history["steps"]) == 2


@eager
def test_a_center_that_is_not_finite_ends_the_search():
    search = made(center_learning_rate=3e38, stdev_init=1e4)
    with pytest.raises(FloatingPointError, match="diverged after 0 steps"):
        search.run(1)
    assert search.is_sound and search.steps == 0


WRONG = {
    "popsize": ({"popsize": 0}, "`popsize` must be an int >= 1. Received: popsize=0"),
    "episodes": ({"episodes": 0.5}, "`episodes` must be an int >= 1"),
    "interactions": ({"num_interactions": 0}, "`num_interactions` must be an int >= 1"),
    "largest population alone": ({"popsize_max": 8}, "`popsize_max` goes with `num_interactions`"),
    "largest population": ({"num_interactions": 9, "popsize_max": 3}, "`popsize_max` must be at least `popsize`"),
    "searcher": ({"searcher": "adam"}, "`searcher` must be one of pgpe, snes, cem, xnes, cmaes. Received: .*adam"),
    "seed": ({"seed": -1}, "`seed` must be None or an int >= 0"),
    "policy": ({"policy": policy_for(2, 3)}, "`policy` must act in the action space"),
}


@pytest.mark.parametrize("options, match", WRONG.values(), ids=WRONG)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        made(**options)


@pytest.mark.parametrize("method, number", [("run", 0), ("learn", 0), ("evaluate", 0)])
def test_wrong_counts(method, number):
    with pytest.raises(ValueError, match="must be an int >= 1"):
        getattr(made(), method)(number)
