import numpy as np
import pytest

from kgdists.runs.pixels import pixels


def test_bytes_stay_as_they_are():
    frame = np.arange(40 * 50 * 3, dtype="uint8").reshape(40, 50, 3)
    np.testing.assert_array_equal(pixels(frame), frame)


def test_opacity_is_left_out():
    frame = np.full((40, 50, 4), [10, 20, 30, 128], "uint8")
    np.testing.assert_array_equal(pixels(frame), frame[..., :3])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
def test_numbers_from_0_to_1_are_shades(dtype):
    frame = pixels((np.indices((40, 50, 3))[2] == 1).astype(dtype))
    assert frame.dtype == "uint8" and frame[7, 7].tolist() == [0, 255, 0]


def test_a_small_grid_is_enlarged():
    frame = pixels(np.eye(10)[..., None].repeat(3, axis=2))
    assert frame.shape == (160, 160, 3)
    assert frame[15, 0, 0] == 255 and frame[16, 0, 0] == 0 and frame[16, 16, 0] == 255


@pytest.mark.parametrize(
    "frame, reason",
    [
        (None, "of type NoneType"),
        ([[0]], "of type list"),
        (np.zeros((40, 50)), r"ndarray and shape \[40, 50\]"),
        (np.zeros((3, 40, 50), "uint8"), r"shape \[3, 40, 50\]"),
        (np.full((40, 50, 3), 2.0), "float64 beyond 0 to 1"),
        (np.full((40, 50, 3), np.nan), "beyond 0 to 1"),
    ],
)
def test_other_frames_are_refused(frame, reason):
    with pytest.raises(ValueError, match=reason):
        pixels(frame)
