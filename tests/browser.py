"""A real browser without a screen: what a page looks like at a phone's width."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
TIMEOUT_S = 120

# A window of Chromium's is 500 pixels wide at least, a frame in it as wide as it should be.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;display:block;width:{width}px;height:{height}px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const frame = document.querySelector("iframe").contentWindow;
  const page = frame.document;
  const boxes = [...page.querySelectorAll(".scroll")];
  document.title = JSON.stringify({{
    innerWidth: frame.innerWidth,
    scrollWidth: page.scrollingElement.scrollWidth,
    scrollHeight: page.scrollingElement.scrollHeight,
    wideTables: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
    manyColumns: page.querySelectorAll("table.stacks").length,
    stacked: [...page.querySelectorAll("table.stacks tbody tr:last-child")]
      .filter(row => frame.getComputedStyle(row).display === "block").length,
    tables: page.querySelectorAll("table").length,
    images: [...page.images].map(image => [image.naturalWidth, image.clientWidth]),
    viewport: page.querySelector("meta[name=viewport]")?.content,
    heading: page.querySelector("h1")?.textContent,
    scripts: page.scripts.length,
  }});
}});
</script>
"""


def look(page, width, *, screenshot=None, height=2000):
    """What a page measures in a frame of so many pixels; its picture goes to `screenshot`."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "frame.html"
        file.write_text(FRAME.format(width=width, height=height, page=html.escape(page)))
        dom = _run(directory, file, height, "--dump-dom")
        if screenshot is not None:
            _run(directory, file, height, f"--screenshot={screenshot}")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title, dom[:500]
    return json.loads(html.unescape(title[1]))


def _run(directory, file, height, action):
    done = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={directory}/{action.partition('=')[0]}",
            f"--window-size=500,{height}",
            action,
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout
