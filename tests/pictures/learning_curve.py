"""Make the picture of README: the learning curve of the run that its first command makes.

python -m tests.pictures.learning_curve            draws the numbers in docs/results/learning_curve
python -m tests.pictures.learning_curve --train    runs the command first, and keeps its numbers there

The picture carries a hash of all that it was made of. `tests/pictures/test_learning_curve.py` compares it.
"""

import argparse
import csv
import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kgdists.cli import main
from kgdists.runs.layout import CONFIG, EVALUATION, METRICS

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "learning_curve.png"
DATA = ROOT / "docs" / "results" / "learning_curve"
SOURCES = ("runs/curves.py", "runs/legends.py")
COLUMNS = ("epoch", "steps", "return")


def command():
    """The arguments of README's first command."""
    (found,) = re.findall(r"bin/kgdists (train .*)", (ROOT / "README.md").read_text())
    return found.split()


def fingerprint():
    """A hash of the command, its numbers, and the code that draws them."""
    files = [Path(__file__), *(ROOT / "kgdists" / name for name in SOURCES), *sorted(DATA.iterdir())]
    parts = [" ".join(command()).encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def train():
    """Run the command, and keep the numbers that are drawn."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        assert main([*command(), "--out", str(run)]) == 0
        DATA.mkdir(exist_ok=True)
        for name in (CONFIG, EVALUATION):
            shutil.copy(run / name, DATA)
        with (run / METRICS).open(newline="") as source, (DATA / METRICS).open("w", newline="") as target:
            writer = csv.DictWriter(target, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(csv.DictReader(source))


def draw():
    """Draw them by `kgdists plot`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PICTURE.name
        assert main(["plot", str(DATA), "--out", str(file)]) == 0
        info = PngInfo()
        info.add_text("Source", fingerprint())
        with Image.open(file) as picture:
            small = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        small.save(PICTURE, optimize=True, pnginfo=info)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="run the command first")
    if parser.parse_args().train:
        train()
    draw()
