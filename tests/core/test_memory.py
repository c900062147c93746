import numpy as np
import pytest

from kgdists.core import memory
from kgdists.core.lazy_array import LazyArray

MEMINFO = "MemTotal:  8000000 kB\nMemFree:  100 kB\nMemAvailable:  4000000 kB\n"
GIB = 2**30
UNLIMITED = 2**63 - 4096


def system(root, files):
    """A folder with what Linux tells in `files`."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


def version_2(folder, limit, used, spare=0):
    where = f"sys/fs/cgroup/{folder}"
    stat = f"anon 5\ninactive_file {spare}"
    return {f"{where}/memory.max": limit, f"{where}/memory.current": used, f"{where}/memory.stat": stat}


def version_1(folder, limit, used):
    where = f"sys/fs/cgroup/memory/{folder}"
    return {f"{where}/memory.limit_in_bytes": limit, f"{where}/memory.usage_in_bytes": used}


def test_memory_is_that_of_the_system_where_nothing_limits_it(tmp_path):
    assert memory.available(system(tmp_path, {"proc/meminfo": MEMINFO})) == 4_000_000 * 1024


@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        ("0::/a/b", version_2("a/b", GIB, 1000, spare=400), GIB - 600),
        ("0::/a/b", version_2("a/b", "max", 1000) | version_2("a", GIB, 2000), GIB - 2000),
        ("0::/a/b", version_2("a/b", GIB, 1000) | version_2("a", GIB, GIB + 5), 0),
        ("0::/of/the/host", version_2("", GIB, 1000), GIB - 1000),
        ("9:cpu,cpuacct:/x\n4:memory:/a\n0::/", version_1("a", GIB, 1000), GIB - 1000),
        ("4:memory:/of/the/host", version_1("", GIB, 1000), GIB - 1000),
        ("4:memory:/a", version_1("a", UNLIMITED, 1000), 4_000_000 * 1024),
        ("0::/a", {}, 4_000_000 * 1024),
    ],
    ids=["group", "group around it", "all used", "container", "version 1", "its container", "no limit", "no files"],
)
def test_control_groups_limit_it(tmp_path, groups, files, left):
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": groups} | files
    assert memory.available(system(tmp_path, files)) == left


def test_other_systems_tell_what_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)
    assert memory.available(tmp_path) == 409_600
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available(tmp_path) is None


def test_a_lazy_array_is_one_for_numpy(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    lazy = LazyArray((2, 3), "float64", lambda: values)
    np.savez(tmp_path / "x.npz", lazy=lazy)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["lazy"], values)
    assert np.isfinite(lazy).all() and len(lazy) == 2 and lazy.dtype == np.float64
    assert np.asarray(lazy, "int32").dtype == np.int32
