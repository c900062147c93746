"""Two-dimensional convolutions whose gradients are as fast on a CPU as TensorFlow's kernels can make them."""

import keras
from keras import ops

from kgdists.core.types import Tensor

__all__ = ["convolve"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    try:
        from tensorflow.python.util import _pywrap_util_port

        HAS_ONEDNN = _pywrap_util_port.IsMklEnabled()
    except (ImportError, AttributeError):  # private: without it, take TensorFlow's own gradients
        HAS_ONEDNN = True

    def convolve(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Convolve without padding: [B, H, W, C], [k, k, C, n] -> [B, h, w, n].

        Notes
        -----
        The gradient of the kernel is a convolution too, dilated by the stride, in which the batch takes the place of
        the channels: on a CPU without oneDNN, Eigen's kernel for that takes about half the time of the one for
        gradients.
        """
        if HAS_ONEDNN or x.dtype != tf.float32 or tf.config.list_logical_devices("GPU"):
            return tf.nn.conv2d(x, kernel, stride, "VALID")
        return _convolved(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel), stride)

    def _convolved(x, kernel, stride):
        @tf.custom_gradient
        def convolved(x, kernel):
            def gradients(dy):
                return _convolve_back(x, kernel, dy, stride), _kernel_gradient(x, dy, kernel.shape, stride)

            return tf.nn.conv2d(x, kernel, stride, "VALID"), gradients

        return convolved(x, kernel)

    def _convolve_back(x, kernel, dy, stride):
        return tf.nn.conv2d_transpose(dy, kernel, tf.shape(x), stride, "VALID")

    def _kernel_gradient(x, dy, shape, stride):
        rows, columns = ((dy.shape[axis] - 1) * stride + shape[axis - 1] for axis in (1, 2))  # that windows cover

        @tf.custom_gradient
        def gradient(x, dy):
            inputs = tf.transpose(x[:, :rows, :columns], (3, 1, 2, 0))  # [C, H, W, B]
            weights = tf.transpose(dy, (1, 2, 0, 3))  # [h, w, B, n]
            dkernel = tf.nn.conv2d(inputs, weights, 1, "VALID", dilations=stride)  # [C, k, k, n]

            def gradients(change):
                return _convolve_back(x, change, dy, stride), tf.nn.conv2d(x, change, stride, "VALID")

            return tf.transpose(dkernel, (1, 2, 0, 3)), gradients

        return gradient(x, dy)

else:

    def convolve(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Convolve without padding: [B, H, W, C], [k, k, C, n] -> [B, h, w, n]."""
        return ops.conv(x, kernel, stride, "valid", data_format="channels_last")
