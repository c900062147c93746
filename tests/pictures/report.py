"""Make the pictures of a report in docs/agents.md: as a browser and as a phone show it, by day and by night.

python -m tests.pictures.report RUN...
"""

import sys
import tempfile
from pathlib import Path

from kgdists.cli import main
from tests.browser import photographed

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"wide": (1280, 2400), "phone": (390, 2400)}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        assert main(["report", *sys.argv[1:], "--out", str(file)]) == 0
        for name, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                photographed(file.read_text(), width, height, scheme, IMAGES / f"report_{name}_{scheme}.png")
