"""Takes the pictures of the page in docs/figures: `make screenshots`.

They show the offline backend with the shipped ranker, in the conversation below.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_cooper.graph.server.serve import offers_of
from tests.support.browser import chromium, launched
from tests.support.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parents[3] / "docs" / "figures"
COLOURS = 192
SAID = (
    "I lost my job last week and I can't sleep.",
    "I don't know how to tell my wife. She will be so disappointed in me.",
    "I feel like I failed her.",
    "Maybe I could talk to her on Sunday, when the kids are out.",
)
CRISIS = "Sometimes I want to kill myself."
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def say(page: Page, message: str) -> None:
    """Send a message and wait for the end of its turn."""
    page.get_by_label("Your message").fill(message)
    page.keyboard.press("Enter")
    page.locator("#stop").wait_for(timeout=300_000)
    page.locator('#status[data-state="ready"]').wait_for(timeout=300_000)


def shoot(page: Page, name: str, scheme: Any, size: Any) -> None:
    """Write a picture with few colours: it is a quarter of the size."""
    from PIL import Image

    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = FOLDER / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(
        f"{path.relative_to(FOLDER.parents[1])}: {path.stat().st_size / 1000:.0f} kB\n"
    )


def main() -> None:
    """Hold the conversation, and take the pictures."""
    if chromium() is None:
        sys.exit("error: no Chromium is installed: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        launched() as browser,
        serving(Path(folder) / "talks.sqlite", offers_of(["esc", "persuasion"])) as url,
    ):
        page = browser.new_page(viewport=DESK)
        page.goto(url)
        for message in SAID:
            say(page, message)
        shoot(page, "page-light", "light", DESK)
        shoot(page, "page-dark", "dark", DESK)
        shoot(page, "page-phone", "light", PHONE)
        page.get_by_role("button", name="Analysis", exact=True).click()
        shoot(page, "page-phone-analysis", "light", PHONE)
        page.get_by_role("button", name="Conversation", exact=True).click()
        say(page, CRISIS)
        shoot(page, "page-help", "dark", PHONE)


if __name__ == "__main__":
    main()
