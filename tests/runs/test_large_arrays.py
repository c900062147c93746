import zipfile

import numpy as np
import pytest

from kgdists.core.lazy_array import LazyArray
from kgdists.runs.large_arrays import read_large, write_large

VALUES = np.arange(2000, dtype="uint8").reshape(20, 100)


@pytest.fixture
def file(tmp_path):
    """An archive with a lazy array, which is looked at once."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        write_large(archive, {"plain": VALUES, "lazy": LazyArray(VALUES.shape, VALUES.dtype, VALUES.copy)})
    return tmp_path / "x.zip"


def test_lazy_arrays_are_files_of_their_own_and_lazy_again(file):
    found = read_large(file)
    assert list(found) == ["lazy"] and isinstance(found["lazy"], LazyArray)
    assert found["lazy"].shape == VALUES.shape and found["lazy"].dtype == VALUES.dtype
    for _ in range(2):
        np.testing.assert_array_equal(found["lazy"], VALUES)


def test_a_flipped_bit_is_found_when_it_is_read(file):
    content = bytearray(file.read_bytes())
    content[content.index(VALUES.tobytes()) + 500] ^= 1
    file.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        np.asarray(read_large(file)["lazy"])
