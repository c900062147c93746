"""Programs that XLA has compiled, kept for the next command."""

import atexit
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
import zlib
from pathlib import Path

import platformdirs

__all__ = ["keep_programs", "publish"]

KNOWN = ("2.20.", "2.21.")  # versions of TensorFlow: one that lacks the flag would end the process
ROOM = 64 * 2**20  # for programs
FREE = 2**30  # on the disk, at least: TensorFlow ends where it cannot write
DAY = 86_400


def keep_programs() -> None:
    """Give TensorFlow, before it is imported, the programs of earlier commands, and keep those that it compiles.

    They are in a folder of the user's cache, or of what the variable KGDISTS_CACHE names; nothing is kept if that is
    empty. A process works on links of its own, since TensorFlow ends where a file is damaged.
    """
    flags, root = os.environ.get("TF_XLA_FLAGS", ""), os.environ.get("KGDISTS_CACHE")
    if root == "" or "persistent_cache" in flags or "tensorflow" in sys.modules:
        return
    with contextlib.suppress(OSError, RuntimeError, importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("tensorflow")
        folder = Path(root or platformdirs.user_cache_path("kgdists", appauthor=False)).absolute() / "programs"
        folder.mkdir(parents=True, exist_ok=True)
        has_space = any(x.isspace() for x in str(folder))  # which would end the flag
        if has_space or not version.startswith(KNOWN) or shutil.disk_usage(folder).free < FREE:
            return
        _tidy(folder)
        kept = folder / f"{version}-{_processor()}"
        kept.mkdir(exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix="process-", dir=folder))
        for path in kept.iterdir():
            if _is_whole(path):
                os.link(path, own / path.name.partition("-")[2])
            else:
                path.unlink(missing_ok=True)
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={own}".strip()
        atexit.register(publish, own, kept, os.getpid())


def publish(own: Path, kept: Path, pid: int) -> None:
    """Keep the programs in the folder of a process, which ends."""
    if pid != os.getpid():  # a child that was forked
        return
    with contextlib.suppress(OSError):
        known = {path.name.partition("-")[2] for path in kept.iterdir()}
        for path in own.glob("*.pb"):
            if path.name not in known:
                os.replace(path, kept / f"{_checksum(path)}-{path.name}")
    shutil.rmtree(own, ignore_errors=True)


def _processor():
    """A name for what this processor can do: a program of another may not run."""
    facts = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        facts += sorted({line for line in file if line.startswith(("model name", "flags", "Features"))})
    return hashlib.sha256("".join(facts).encode()).hexdigest()[:12]


def _checksum(path):
    return f"{zlib.crc32(path.read_bytes()):08x}"


def _is_whole(path):
    return path.name.startswith(f"{_checksum(path)}-")


def _tidy(folder):
    """Remove what processes left that were killed, and the oldest of programs that take too much room."""
    room, entries = ROOM, []
    for path in folder.glob("*/*.pb"):
        with contextlib.suppress(OSError):  # another process may be at it
            entries.append((path, path.stat()))
    for path, status in sorted(entries, key=lambda x: -x[1].st_mtime):
        room -= 0 if path.parent.name.startswith("process-") else status.st_size
        if room < 0:
            path.unlink(missing_ok=True)
    for path in folder.glob("process-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > DAY:
                shutil.rmtree(path, ignore_errors=True)
