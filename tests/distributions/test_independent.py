"""`Independent`: sums over what was the batch, and errors."""

import numpy as np
import pytest

import kgdists as kg


def normal(*shape, seed=0):
    return kg.NormalDist(*np.random.default_rng(seed).normal(size=(2, *shape)))


@pytest.mark.parametrize("num_axes", [1, 2])
def test_all_is_summed_over_the_axes(num_axes):
    p, q = normal(5, 3, 2, 4), normal(5, 3, 2, 4, seed=1)
    of_p, of_q = kg.Independent(p, num_axes), kg.Independent(q, num_axes)
    assert of_p.batch_shape == (5, 3, 2)[:-num_axes] and of_p.event_shape == (5, 3, 2, 4)[3 - num_axes :]
    axes, x = tuple(range(-num_axes, 0)), of_p.sample(7, seed=1)
    assert x.shape == (7, 5, 3, 2, 4)
    for name, given, parts in (
        ("log_proba", (x,), (x,)),
        ("crps", (x,), (x,)),
        ("entropy", (), ()),
        ("kl_divergence", (of_q,), (q,)),
        ("cross_entropy", (of_q,), (q,)),
    ):
        want = np.sum(getattr(p, name)(*parts), axis=axes)
        np.testing.assert_allclose(getattr(of_p, name)(*given), want, rtol=1e-12, err_msg=name)
    for name in ("mean", "variance", "mode", "median"):
        np.testing.assert_array_equal(getattr(of_p, name)(), getattr(p, name)())
    np.testing.assert_array_equal(of_p.sample_action(seed=1), p.sample_action(seed=1))


def test_one_of_two_may_have_no_batch():
    p, q = kg.Independent(normal(5, 3, 4)), kg.Independent(normal(3, 4, seed=1))
    want = [kg.Independent(p.dist[i]).kl_divergence(q) for i in range(5)]
    np.testing.assert_allclose(p.kl_divergence(q), want, rtol=1e-12)
    assert q.kl_divergence(p).shape == (5,)


def test_choices_too():
    pi = kg.Independent(kg.CategoricalDist(np.zeros((5, 3, 2))))
    assert pi.log_proba(pi.sample_action()).shape == (5,) and pi.event_shape == (3, 2)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: kg.Independent(normal(4)), ValueError, "must have 1 axes of known size"),
        (lambda: kg.Independent(normal(2, 4), 0), ValueError, "`num_axes` must be an int >= 1"),
        (lambda: kg.Independent(kg.CompositeDist((normal(2, 4),))), TypeError, "must be a distribution of arrays"),
    ],
)
def test_what_does_not_fit_raises(make, error, match):
    with pytest.raises(error, match=match):
        make()
