"""The page for raters, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from langgraph_cooper.graph.evaluation.rating.app import create_app
from tests.graph.server.test_page import PHONE, is_wider_than_window, violations
from tests.support.browser import chromium, launched
from tests.support.rating import DIMENSIONS, ESC, pairs_in, ratings_in, rows_of, serving_app

if TYPE_CHECKING:
    from playwright.sync_api import Page


def check(page: Page) -> None:
    """Check a view for axe's rules in light and dark, and for its width on a phone."""
    size = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page) == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not is_wider_than_window(page)
    assert violations(page) == []
    page.set_viewport_size(size)  # type: ignore[arg-type]


def at(page: Page, words: str) -> None:
    page.locator("#place", has_text=words).wait_for()


@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")
def test_rates_by_keyboard_goes_back_and_resumes(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    pairs = pairs_in(tmp_path, 2)
    with launched() as browser, serving_app(create_app(ratings_in(tmp_path, pairs), ESC)) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(30_000)
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        page.get_by_label("Your name or initials").fill("Anna")
        check(page)
        page.keyboard.press("Enter")

        at(page, "Pair 1 of 2")
        assert page.locator("#left .talk li").count() == 4
        check(page)
        page.locator("input[name=coherence]").first.focus()
        for _ in DIMENSIONS:
            page.keyboard.press("1")
        page.keyboard.type("The left one listens.")
        page.keyboard.press("Tab")  # Back cannot be pressed at the first pair: Skip, then Save
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        at(page, "Pair 2 of 2")
        page.get_by_role("button", name="Save and go on").click()
        assert page.evaluate("document.querySelectorAll('input:invalid').length") > 0

        page.reload()  # resumes at the pair that is open
        at(page, "Pair 2 of 2")
        page.get_by_role("button", name="Back").click()
        at(page, "Pair 1 of 2")
        assert page.locator("#questions input:checked").count() == len(DIMENSIONS)
        page.locator("input[name=empathy][value=right]").check()
        page.get_by_role("button", name="Save and go on").dblclick()  # goes on by one pair
        at(page, "Pair 2 of 2")
        page.get_by_role("button", name="Skip").click()
        page.get_by_text("You rated 1 of 2 pairs").wait_for()
        check(page)
        page.get_by_role("button", name="Rate what was skipped").click()
        at(page, "Pair 2 of 2")
        page.locator("input[name=coherence]").first.focus()
        for _ in DIMENSIONS:
            page.keyboard.press("3")
        page.get_by_role("button", name="Save and go on").click()
        page.get_by_text("You rated 2 of 2 pairs").wait_for()
        counts = page.locator("#counts tr", has_text="Empathy").locator("td").all_inner_texts()
        assert counts == ["0", "0", "2"]
        assert wrong == []
        context.close()

    rows = rows_of(tmp_path / "rated.jsonl")
    assert [row["answers"]["empathy"] for row in rows] == ["left", "right", "right"]
    assert [row["comment"] for row in rows] == ["The left one listens."] * 2 + [""]
