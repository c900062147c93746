"""Frames of pandas, and masked arrays, wherever numbers come in."""

import keras
import numpy as np
import pytest

import kgdists as kg

RNG = np.random.default_rng
X = RNG(0).normal(size=(20, 2))
Y = X[:, :1] + 1.0
MASKED, WHOLE = np.ma.masked_array(X, X > 1.0), np.ma.masked_array(X)
HEAD = kg.layers.NormalHead(1)
INPUTS = keras.Input((2,))
MODELS = {
    "model": lambda: kg.Model(INPUTS, kg.layers.NormalHead(1)(keras.layers.Dense(4)(INPUTS))),
    "policy": lambda: kg.Policy(keras.Sequential([INPUTS, keras.layers.Dense(4)]), kg.layers.NormalHead(1)),
}


def compiled(make):
    model = make()
    model.compile("adam")
    return model


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_trains_on_frames_as_on_their_arrays(make):
    pandas = pytest.importorskip("pandas")
    x, y = pandas.DataFrame(X, columns=["a", "b"]), pandas.Series(Y[:, 0])
    model, weights = compiled(make), np.linspace(0.5, 1.5, 20)
    of_frames = model.evaluate(x, y, sample_weight=pandas.Series(weights), verbose=0)
    model.compile("adam")  # Keras traces arrays of one axis anew, which frames never have
    assert of_frames == pytest.approx(model.evaluate(X, Y, sample_weight=weights, verbose=0))
    for one, other in zip(*(keras.tree.flatten(model.predict(part, verbose=0)) for part in (x, X)), strict=True):
        np.testing.assert_array_equal(one, other)
    model.compile("adam")
    history = model.fit(x, y, validation_data=(x, y.to_frame()), verbose=0).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()


def test_distributions_take_frames_as_their_arrays():
    pandas = pytest.importorskip("pandas")
    frame, flags = pandas.DataFrame(X), pandas.DataFrame(X > 0.0)
    labels = pandas.Series([0, 1] * 10)
    normal, choice = kg.NormalDist(X, X), kg.CategoricalDist(X)
    assert kg.NormalDist(frame, frame.astype("float64")).dtype == "float64"
    same = {
        "parameters": (kg.NormalDist(frame, frame).log_proba(X), normal.log_proba(X)),
        "variates": (normal.log_proba(frame), normal.log_proba(X)),
        "levels": (normal.quantile(pandas.Series([0.1, 0.9])), normal.quantile(np.array([0.1, 0.9]))),
        "scores": (normal.crps(frame), normal.crps(X)),
        "flags": (kg.BernoulliDist(frame).log_proba(flags), kg.BernoulliDist(X).log_proba(X > 0.0)),
        "masks": (kg.CategoricalDist(X, mask=flags | True).logits, choice.logits),
    }
    for dtype in ("int64", "Int64", "uint8", "category"):
        same[dtype] = (choice.log_proba(labels.astype(dtype)), choice.log_proba(labels.to_numpy()))
    for name, (one, other) in same.items():
        np.testing.assert_array_equal(one, other, err_msg=name)
    rows = {"fit": kg.mixtures.fit(frame, 2, seed=0), "want": kg.mixtures.fit(X, 2, seed=0)}
    np.testing.assert_array_equal(rows["fit"].distribution.mu, rows["want"].distribution.mu)
    for bad in (frame.astype(str), frame.astype(object), frame.mask(frame > 1.0)):
        with pytest.raises(ValueError, match="`x` must be .* Received: ") as error:
            normal.log_proba(bad)
        assert "\n" not in str(error.value)


USES = {
    "fit x": lambda model, x: model.fit(x, Y, verbose=0),
    "fit y": lambda model, x: model.fit(X, x[:, :1], verbose=0),
    "fit weights": lambda model, x: model.fit(X, Y, sample_weight=abs(x[:, 0]), verbose=0),
    "validation": lambda model, x: model.fit(X, Y, validation_data=(X, x[:, :1]), verbose=0),
    "evaluate": lambda model, x: model.evaluate(X, x[:, :1], verbose=0),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "call": lambda model, x: model(x),
    "train_on_batch": lambda model, x: model.train_on_batch(X, x[:, :1]),
    "test_on_batch": lambda model, x: model.test_on_batch(x, Y),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "head": lambda model, x: HEAD(x),
    "normalization": lambda model, x: model.statistics.update(x),
    "parameters": lambda model, x: kg.NormalDist(x, x),
    "variates": lambda model, x: kg.NormalDist(X, X).log_proba(x),
    "lists": lambda model, x: kg.NormalDist(X, X).log_proba([*x]),
    "mixtures": lambda model, x: kg.mixtures.fit(x, 2, seed=0),
}


@pytest.fixture(scope="module")
def model():
    made = compiled(MODELS["policy"])
    made.statistics = kg.layers.RunningNormalization()
    made.statistics.build((None, 2))
    return made


@pytest.mark.few(6)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_masked_entries_are_refused_and_masked_arrays_without_any_are_not(use, model):
    rule = "Numbers must not be masked: leave them out, or fill them. Received: an array with masked entries"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        use(model, MASKED)
    use(model, WHOLE)


def test_the_constant_of_a_masked_number_is_refused_too():
    with pytest.raises(ValueError, match="Numbers must not be masked"):
        kg.NormalDist([0.0, 0.0], [0.0, 0.0]).log_proba([np.ma.masked, 1.0])
