"""Pictures of cards as the embedded Hub shows them, in light and dark: those that the README has.

    python examples/screenshots.py DIR [DIR …] [--out docs/images] [--from "What the merge did"] [--height 1500]

Each DIR is what `ramekin merge` wrote, or what `ramekin run --out` did. It is put onto an embedded Hub that lives as
long as the program, its page is opened in Chromium without a window, and `--height` pixels of it, from the top or from
a heading on, become `OUT/NAME-light.png` and `OUT/NAME-dark.png`, where NAME is the repository's. Nothing is
downloaded. The pictures in the README are of the demonstration and of `examples/smollm2`:

    ramekin demo --dir demo && python examples/screenshots.py demo/agent --from "Merged from"

It needs Chromium with its driver (on Debian: `apt-get install chromium chromium-driver`) and the packages
`ramekin[demo]` and `selenium`; with Pillow as well the pictures have a palette and are a third as large.
"""

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ramekin import hub
from ramekin.report import read_report

FLAGS: Final = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor=1"
)
SCHEMES: Final = ("light", "dark")
PLACE: Final = """
    const found = [...document.querySelectorAll("h1, h2, h3")].find(each => each.textContent.trim() === arguments[0]);
    return found ? Math.max(0, Math.floor(found.getBoundingClientRect().top + window.scrollY) - 24) : null;
"""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR", help="a merged directory")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="where pictures go")
    parser.add_argument("--only", choices=SCHEMES, help="only light or only dark ones")
    parser.add_argument("--width", type=int, default=1180, help="of the page, in pixels")
    parser.add_argument("--height", type=int, default=1500, help="of the picture; 0 for the whole page")
    parser.add_argument("--from", dest="heading", help="the heading to begin at; the top of the page if left out")
    parser.add_argument("--open", action="store_true", help="with everything unfolded that is folded")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as place,
        hub.serve(Path(place) / "hub") as running,
        browser(Path(place) / "profile") as window,
    ):
        for directory in chosen.directories:
            repo = put_up(running, directory)
            for scheme in (chosen.only,) if chosen.only else SCHEMES:
                picture = take(window, running.browse(f"/{repo}"), scheme, chosen)
                path = chosen.out / f"{repo.partition('/')[2]}-{scheme}.png"
                path.write_bytes(smaller(picture))
                print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


def put_up(running: hub.Hub, directory: Path) -> str:
    """Put a merged directory onto the Hub as its repository; returns its id."""
    repo = read_report(directory).output.repo
    running.store.create_repo(repo, exist_ok=True)
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    running.store.commit(repo, files, message="merge", author="demo")
    return repo


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """Chromium without a window."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        sys.exit("needs Chromium and its driver, on Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield window
    finally:
        window.quit()


def take(window: Any, address: str, scheme: str, chosen: argparse.Namespace) -> bytes:
    """A picture of a page as PNG."""
    wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    resize(window, chosen.width, 1000)
    window.get(address)
    if chosen.open:
        window.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    wait_for_pictures(window)
    whole = window.execute_script("return document.documentElement.scrollHeight")
    top = window.execute_script(PLACE, chosen.heading) if chosen.heading else 0
    if top is None:
        sys.exit(f"the page has no heading {chosen.heading!r}")
    height = min(chosen.height or whole, whole - top)
    resize(window, chosen.width, height)
    window.execute_script(f"window.scrollTo(0, {top})")
    time.sleep(0.2)
    return bytes(window.get_screenshot_as_png())


def resize(window: Any, width: int, height: int) -> None:
    """Make the page so wide and high."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def wait_for_pictures(window: Any) -> None:
    """Wait until all pictures of the page are there."""
    for _ in range(100):
        if window.execute_script("return [...document.images].every(each => each.complete && each.naturalWidth)"):
            return
        time.sleep(0.1)
    sys.exit("a picture of the page did not come")


def smaller(picture: bytes) -> bytes:
    """The same picture with a palette of 256 colours, where there is Pillow."""
    try:
        from PIL import Image
    except ImportError:
        return picture
    stream = io.BytesIO()
    colours = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=0)
    colours.save(stream, "PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
