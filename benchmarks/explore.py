"""The page of `textvae explore` in a browser: milliseconds until it is ready, drawn and answered.

    python benchmarks/explore.py RUN DATA --limits 5000 100000

RUN is a trained run of texts, DATA a file with as many texts. Needs the extra `explore`, Playwright
and a chromium. Medians; run it on a machine without other work.
"""

import argparse
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*")
REDRAW = "() => {zoom(1.01); drawPoints(); return map.drawn;}"
PICK = """(() => {
  const began = performance.now();
  for (let n = 0; n < 40; n++) nearestTo(200 + 3 * n, 150 + n);
  return (performance.now() - began) / 40;
})()"""
POINT = """async (row) => {
  const began = performance.now();
  await ask(`/api/point/${row}`);
  return performance.now() - began;
}"""


def address_of(server: subprocess.Popen[str]) -> str:
    """The address that a server prints."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := ADDRESS.search(line):
            return found[0]
    raise SystemExit("the server ended without an address")


def measured(page: Page, address: str, limit: int, clicks: int) -> dict[str, float]:
    """Milliseconds of one server's page."""
    page.goto(address)
    page.locator("html[data-ready]").wait_for(state="attached", timeout=300_000)
    redraws = [page.evaluate(REDRAW) for _ in range(15)]
    picks = [page.evaluate(PICK) for _ in range(5)]
    points = [page.evaluate(POINT, n * (limit // clicks)) for n in range(clicks)]
    return {
        "page usable": page.evaluate("Number(document.documentElement.dataset.ready)"),
        "redraw": statistics.median(redraws),
        "point under the mouse": statistics.median(picks),
        "click": statistics.median(points),
    }


def main() -> None:
    """Print a row for each number of points."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limits", nargs="+", type=int, default=[5_000, 100_000])
    parser.add_argument("--clicks", type=int, default=25)
    chosen = parser.parse_args()
    chromium = shutil.which("chromium")
    for limit in chosen.limits:
        command: list[Any] = [sys.executable, "-m", "textvae", "explore", chosen.run]
        command += ["--data", chosen.data, "--limit", limit, "--no-browser"]
        began = time.monotonic()
        server = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            address = address_of(server)
            seconds = time.monotonic() - began
            with sync_playwright() as driver:
                # --no-sandbox: chromium refuses to run as root without it.
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                found = measured(browser.new_page(), address, limit, chosen.clicks)
                browser.close()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
        cells = "  ".join(f"{name} {value:.1f} ms" for name, value in found.items())
        print(f"{limit:,} points: server {seconds:.0f} s  {cells}", flush=True)


if __name__ == "__main__":
    main()
