"""Takes the pictures of the page for raters in docs/figures: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from langgraph_cooper.graph.evaluation.rating.app import create_app
from langgraph_cooper.graph.evaluation.rating.rows import read_pairs
from tests.graph.server.screenshots import DESK, PHONE, shoot
from tests.support.browser import chromium, launched
from tests.support.conversations import conversation, write_conversations
from tests.support.rating import ESC, SYSTEMS, answered, ratings_in, serving_app

ROLE = {
    "problem": "job crisis",
    "emotion": "anxiety",
    "situation": "I lost my job last week and have not told my wife. I leave the house every "
    "morning as if nothing had happened.",
}
TALKS = (
    (
        "I lost my job last week.",
        "I am sorry to hear that. How have you been since then?",
        "Not well. I have not told my wife.",
        "That must be a heavy thing to carry alone. What do you fear would happen if she knew?",
        "That she thinks I failed her.",
        "It sounds as if you care a lot about what she thinks. How did she take bad news before?",
        "She was kind, actually.",
        "Then she may well be kind this time. Is there a quiet moment in which you could tell her?",
        "Maybe on Sunday. Thank you.",
    ),
    (
        "I lost my job last week.",
        "Losing a job is hard. You could update your CV and look at offers every morning.",
        "I do not even know how to tell my wife.",
        "Being open with people close to us is often good. Have you thought of a budget?",
        "No, I feel like a failure.",
        "Many people find new work within a few months. Try to get some exercise, too.",
        "I suppose so.",
        "You are welcome to write again.",
        "Goodbye.",
    ),
)


def said(talk: Sequence[str]) -> list[dict[str, str]]:
    """Return a conversation that the user begins."""
    return [{"speaker": ("user", "system")[at % 2], "text": text} for at, text in enumerate(talk)]


def main() -> None:
    """Serve a pair, answer some questions, and take the pictures."""
    if chromium() is None:
        sys.exit("error: no Chromium is installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        rows = [
            conversation(system, f"role-{at}")
            | {"said": said(talk), "role": ROLE | {"id": f"{at}"}}
            for at in range(12)
            for system, talk in zip(SYSTEMS, TALKS, strict=True)
        ]
        pairs = read_pairs(write_conversations(Path(folder) / "talks.jsonl", *rows))
        ratings = ratings_in(Path(folder), pairs)
        answered(ratings, "Anna", {}, limit=3)
        app = create_app(ratings, ESC, rater="Anna")
        with serving_app(app) as url:
            page = browser.new_page(viewport=DESK)  # type: ignore[arg-type]
            page.goto(url)
            page.locator(".talk li").first.wait_for()
            better = "right" if "Losing a job" in page.locator("#left").inner_text() else "left"
            for name in ("coherence", "identification"):
                page.locator(f"input[name={name}][value={better}]").check()
            shoot(page, "rating", "light", {**DESK, "height": 1240})
            shoot(page, "rating-phone", "dark", {**PHONE, "height": 1180})


if __name__ == "__main__":
    main()
