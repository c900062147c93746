"""`Model`: a Keras model whose outputs may be distributions."""

import os
import warnings
from collections import namedtuple
from collections.abc import Sequence
from typing import Any, Self, cast

import keras

from kgdists.core import backend
from kgdists.core.checks import choice
from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown
from kgdists.models.matching import named
from kgdists.models.measures import Measures
from kgdists.models.objective import Objective
from kgdists.models.outputs import Outputs
from kgdists.models.serving import ENDPOINTS, inputs_like, served

__all__ = ["Model"]


class _ReplicaLoss(keras.losses.Loss):
    # Under `tf.distribute` Keras sums the gradients of the replicas, and divides the losses that it reduces itself.

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


@keras.saving.register_keras_serializable(package="kgdists")
class Model(keras.Model):
    """A Keras model whose outputs may be distributions.

    It is made as a `keras.Model` is: of symbolic inputs and outputs, or by a subclass with a `call`. Outputs are
    distributions and tensors, alone or in dicts, lists and tuples. `fit` minimises the mean negative log-likelihood of
    the targets unless `compile` names another loss; `predict` returns distributions with NumPy parameters; `save` and
    `keras.models.load_model` work in safe mode.

    Parameters
    ----------
    inputs, outputs : None or nested KerasTensors, and distributions of them
        None for a subclass with a `call` of its own.
    **kwargs
        Of `keras.Model`: `name`, `dtype`, `trainable`.

    Raises
    ------
    TypeError
        If an output is neither a distribution nor a KerasTensor.
    ValueError
        If only one of `inputs` and `outputs` is given, or a parameter does not come from the inputs.

    Examples
    --------
    >>> import keras, numpy as np, kgdists as kg
    >>> x = keras.Input((3,))
    >>> model = kg.Model(x, kg.layers.NormalHead(1)(keras.layers.Dense(8, "tanh")(x)))
    >>> model.compile("adam")
    >>> inputs = np.ones((32, 3), "float32")
    >>> history = model.fit(inputs, inputs[:, :1], verbose=0)
    >>> model.predict(inputs, verbose=0).mean().shape
    (32, 1)
    """

    SERVED: tuple[str, ...] = ("parameters",)  # what a SavedModel has of a distribution where no endpoint is named

    def __init__(self, inputs: Any = None, outputs: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network: keras.Model | None = None
        self._objective, self._measures = Objective(), Measures()
        if (inputs is None) != (outputs is None):
            raise ValueError(
                "`inputs` and `outputs` must be given together, or neither by a subclass with a `call`. "
                f"Received: {'no inputs' if inputs is None else 'no outputs'}"
            )
        if inputs is not None:
            made_of, tensors = Outputs.of(outputs)
            self._assemble(keras.Model(inputs, tensors, name=self.name), made_of)

    def _assemble(self, network, made_of):
        self.network, self._made_of = network, made_of
        self._random_state = made_of.generators  # which Keras finds here
        self.autocast = False  # of inputs, which the network converts to the dtypes that it was made for
        self.built = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self.network is None:
            raise NotImplementedError("A `kg.Model` without inputs and outputs must define `call`")
        return self._made_of.pack(keras.tree.flatten(self.network(inputs, training=training, mask=mask)))

    # What it learns by.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configure the training; other arguments as for `keras.Model.compile`.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
        loss : None, str, callable, keras.losses.Loss, or list or dict of them
            For a distribution a function of targets and distribution to losses of each row, or `"nll"`, the negative
            log-likelihood, which is also what None means; for a tensor what Keras takes. A list has one for each
            output, a dict those of outputs by their names.
        loss_weights : None, list or dict of float
        metrics, weighted_metrics : None, list or dict
            Names, functions and Keras metrics, as Keras takes them. Functions, metrics of `kgdists.metrics` and your
            own see targets and distribution; Keras' own metrics see probabilities, the mode or the mean, whatever they
            measure.
        """
        super().compile(optimizer, **kwargs)
        self._objective = Objective(loss, loss_weights)
        self._measures = Measures(metrics, weighted_metrics)
        if self.network is not None:
            outputs = named(self.output)
            self._objective.make(outputs)
            self._measures.make(outputs)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, as Keras saves it."""
        config = super().get_compile_config()
        own = self._objective.arguments | self._measures.arguments
        return config and config | keras.saving.serialize_keras_object(own)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile by what `get_compile_config` returned."""
        read, lost = {}, []
        for name, part in config.items():
            try:
                read[name] = keras.saving.deserialize_keras_object(part)
            except (TypeError, ValueError, ImportError):
                lost.append(name)
        self.compile(**read | ({"loss": _lost} if "loss" in lost else {}))
        if lost:
            warnings.warn(
                "Functions that are not registered by `keras.saving.register_keras_serializable` are not loaded, nor "
                f"are lambdas: compile the model again before it is trained. Received: {', '.join(lost)}",
                stacklevel=2,
            )
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The weighted sum of the losses of all outputs, plus the layers' losses."""
        total = sum(self.losses, self._objective(y, y_pred, sample_weight))
        total = keras.ops.reshape(total, (1,))
        return _ReplicaLoss("replica_loss", dtype=total.dtype)(total, total)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the metrics, and return their results."""
        self._measures.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All metrics, that of the loss first."""
        return [*super().metrics, *self._objective.trackers.values(), *self._measures.metrics]

    # Keras drops the masks of masked arrays.

    __call__ = backend.takes_no_masked(keras.Model.__call__)
    fit = backend.takes_no_masked(keras.Model.fit)
    train_on_batch = backend.takes_no_masked(keras.Model.train_on_batch)
    test_on_batch = backend.takes_no_masked(keras.Model.test_on_batch)
    predict_on_batch = backend.takes_no_masked(keras.Model.predict_on_batch)

    # What it gives.

    @backend.takes_no_masked
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The outputs for many inputs, with NumPy parameters; arguments as for `keras.Model.predict`.

        No rows, an array of shape [0, ...], give distributions of batch shape [0].
        """
        # Keras has no batch of such an array, and then no outputs to join.
        return self.predict_on_batch(x) if _has_no_rows(x) else super().predict(x, *args, **kwargs)

    @backend.takes_no_masked
    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics of inputs and targets; arguments as for `keras.Model.evaluate`.

        Raises
        ------
        ValueError
            If there are no rows, whose mean loss has no value.
        """
        if _has_no_rows(x):
            raise ValueError("`x` must have at least one row: the mean loss of none has no value. Received: no rows")
        return super().evaluate(x, *args, **kwargs)

    def predict_step(self, *args: Any) -> Any:
        # Their number depends on the backend; only TensorFlow's has strategies.
        outputs = super().predict_step(*args)
        strategy = getattr(self, "distribute_strategy", None)
        return outputs if strategy is None or strategy.num_replicas_in_sync == 1 else _replicated(outputs)

    def export(
        self,
        filepath: str | os.PathLike[str],
        input_signature: Sequence[Any] | None = None,
        *,
        format: str = "tf_saved_model",
        endpoint: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model for other programs, which need nothing of kgdists: inputs -> a dict of tensors.

        Parameters
        ----------
        filepath : str or path
        input_signature : None or list of keras.InputSpec
            The inputs, batch axis included. A model of inputs and outputs knows them.
        format : str
            What `keras.Model.export` takes: `"tf_saved_model"`, `"litert"`, `"onnx"` and others.
        endpoint : None, "parameters", "action" or "mode_action"
            What stands for a distribution: its parameters, also for None, a draw (in a SavedModel), or its most
            probable action. With several outputs their names begin with that of the output, `y/mu`.
        **kwargs
            Further arguments of `keras.Model.export`.

        Raises
        ------
        ValueError
            If the inputs are not known, or there is no such endpoint.
        """
        inputs = self._symbolic_inputs(input_signature)
        if endpoint is None:
            endpoints = self.SERVED if format == "tf_saved_model" else ("parameters",)
        else:
            endpoints = (choice("endpoint", endpoint, ENDPOINTS),)
            if endpoint == "action" and format != "tf_saved_model":
                raise ValueError(
                    "`endpoint` must be 'parameters' or 'mode_action' but in a SavedModel: no other format draws. "
                    f"Received: endpoint='action', format={format!r}"
                )
        network = served(inputs, self.call(inputs), endpoints)
        network(inputs)  # without which some formats take it for one that was never called
        network.export(filepath, format=format, **kwargs)

    def _symbolic_inputs(self, input_signature):
        if input_signature is not None:
            (specs,) = input_signature
            return inputs_like(specs, "inputs")
        if self.network is None:
            raise ValueError(
                "`input_signature` must be given for a model that does not know its inputs. Received: None"
            )
        return self.network.input

    # What it is.

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers between inputs and outputs, those of the attributes in a subclass."""
        return super().layers if self.network is None else self.network.layers

    @property
    def inputs(self) -> Any:
        """The symbolic inputs, a list; None in a subclass with a `call`."""
        return None if self.network is None else self.network.inputs

    @property
    def input(self) -> Any:
        """The symbolic inputs as they were given, or those of the call of a subclass."""
        return super().input if self.network is None else self.network.input

    @property
    def output(self) -> Any:
        """The symbolic outputs, distributions and tensors, or those of the call of a subclass."""
        return super().output if self.network is None else self._made_of.pack(self.network.outputs)

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Print the layers with their shapes; arguments as for `keras.Model.summary`."""
        if self.network is None:
            super().summary(*args, **kwargs)
        else:
            self.network.summary(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.network is None:
            return config
        return config | {
            "network": keras.saving.serialize_keras_object(self.network),
            "outputs": self._made_of.structure,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        if "network" not in config:
            return cls(**config)
        network, structure = config.pop("network"), config.pop("outputs")
        model = cls(**config)
        with naming_unknown():
            model._assemble(keras.saving.deserialize_keras_object(network, custom_objects), Outputs(structure))
        return model


def _lost(y, output):
    raise ValueError("The loss that the model was saved with could not be loaded: call `compile` with a loss")


def _has_no_rows(x):
    """Whether inputs are arrays, possibly nested and with None among them, of no rows."""
    arrays = [leaf for leaf in keras.tree.flatten(x) if leaf is not None]
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in arrays]
    return bool(shapes) and all(shape[:1] == (0,) for shape in shapes)


def _replicated(outputs):
    # `tf.distribute` joins what the replicas return entry by entry in tuples, lists and dicts, but not in other nodes.
    # It then makes a named tuple anew by its `_make`, and that makes the outputs.
    leaves = keras.tree.flatten(outputs)
    fields = cast(Any, namedtuple("Replicated", map(str, range(len(leaves))), rename=True))
    fields._make = lambda _, leaves: keras.tree.pack_sequence_as(outputs, leaves)
    return fields(*leaves)
