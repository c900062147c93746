"""A page as a browser without a window shows it."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FRAME = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="color-scheme" content="light dark">
<body style="margin: 0">
<iframe id="frame" style="border: 0; display: block" width="{width}" height="{height}" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
onload = () => {{ found.textContent = JSON.stringify(({question})(frame.contentDocument)) }}
</script>
"""  # a window is never as narrow as a phone, a frame is


def asked(page, width, question, height=900, scheme="light"):
    """The answer of a function in JavaScript of a document, this many pixels wide."""
    framed = FRAME.format(width=width, height=height, page=html.escape(page), question=question)
    out = _run(framed, width, height, scheme, "--dump-dom")
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', out, re.DOTALL)[1]))


def photographed(page, width, height, scheme, file):
    """Write a picture of the top of a page, in the color scheme "light" or "dark"."""
    framed = FRAME.format(width=width, height=height, page=html.escape(page), question="() => null")
    _run(framed, width, height, scheme, f"--screenshot={file}")
    with Image.open(file) as picture:
        whole = picture.convert("RGB").crop((0, 0, width, height))
    whole.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def _run(page, width, height, scheme, *options):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={folder}/profile", f"--window-size={max(width, 500)},{height}", *options]
        command.append(f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}")
        done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
