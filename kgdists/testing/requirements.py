"""Requirements that values be equal, or close, and the errors where they are not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from kgdists.core.types import Tensor
from kgdists.testing.values import as_array

__all__ = ["ROUNDING", "STANDARD_ERRORS", "closed_form", "estimate", "property_of", "require_close", "require_same"]

STANDARD_ERRORS = 5.0
ROUNDING = 1e-5

T = TypeVar("T")


@contextmanager
def property_of(what: str) -> Iterator[None]:
    """Raise an AssertionError that names what was tried in place of any other error."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


def closed_form(method: Callable[..., T], *arguments: Any) -> T | None:
    """What a method returns, None if it has no closed form."""
    try:
        return method(*arguments)
    except NotImplementedError:
        return None


def estimate(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean over draws, and what it may be off."""
    x = np.asarray(as_array(x) if hasattr(x, "dtype") else x, "float64")
    return x.mean(axis=0), STANDARD_ERRORS * x.std(axis=0) / np.sqrt(len(x))


def require_same(what: str, got: object, want: object) -> None:
    """Raise unless both are equal."""
    if got != want:
        raise AssertionError(f"{what} must be {want}. Received: {got}")


def require_close(what: str, got: Tensor, want: Tensor, allowed: ArrayLike) -> None:
    """Raise unless no value is off by more than what is allowed, besides rounding."""
    got, want = as_array(got).astype("float64"), as_array(want).astype("float64")
    require_same(f"{what}: shape", got.shape, want.shape)
    same = got == want  # also infinities
    error = np.abs(np.where(same, 0.0, got) - np.where(same, 0.0, want))
    allowed = np.broadcast_to(allowed, want.shape) + ROUNDING * (1.0 + np.abs(np.where(same, 0.0, want)))
    bad = ~(error <= allowed)
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error - allowed)), error.shape)
        raise AssertionError(
            f"{what}: {got[worst]:.6g} and {want[worst]:.6g}, which may differ by {allowed[worst]:.2g}, "
            f"at index {tuple(map(int, worst))}"
        )
