"""The page at `/`, in a real browser, against the real server with a scripted model."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from langgraph_cooper.graph.server import page as page_module
from langgraph_cooper.graph.server.owners import Tokens
from tests.support.browser import chromium, launched
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, offers, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

FOLDER = Path(page_module.__file__).parent
ROOT = Path(__file__).parents[3]
REPLY = "I hear you, and I am glad you told me."
LOST = "I lost my job last week."
PHONE = {"width": 320, "height": 640}
COUNT_MOVES = """
    window.moves = 0;
    const animate = Element.prototype.animate;
    Element.prototype.animate = function (...given) {
      moves += 1;
      return animate.apply(this, given);
    };
"""
STEPS = 9  # three stages of three agents

in_browser = pytest.mark.skipif(
    chromium() is None, reason="no Chromium is installed (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright")
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, url: str, model: ScriptedModel) -> Iterator[Page]:
    """A page of a new visitor; an error of a script or a refused resource fails the test."""
    model.script, model.delays = {}, {}
    size: Any = {"width": 1280, "height": 800}
    context = browser.new_context(viewport=size, reduced_motion="reduce")
    context.add_init_script(COUNT_MOVES)
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if is_refusal(said.text) else None)
    page.goto(url)
    yield page
    context.close()
    assert not wrong


def is_refusal(text: str) -> bool:
    return "Content Security Policy" in text


def say(page: Page, message: str, *, turns: int = 1) -> None:
    """Send a message and wait for the end of its turn."""
    page.get_by_label("Your message").fill(message)
    page.keyboard.press("Enter")
    page.locator(".turn").nth(turns - 1).wait_for()
    page.locator('#status[data-state="ready"]').wait_for()


def violations(page: Page) -> list[str]:
    """Return what axe finds, in words."""
    from axe_playwright_python.sync_playwright import Axe

    found: Any = Axe().run(page)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ]


def is_wider_than_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


# In a browser ------------------------------------------------------------------------------------


@in_browser
def test_a_conversation(page: Page) -> None:
    """A reply with its agents, ranking, links and chart; an earlier turn; a reload."""
    page.evaluate(
        "window.told = []; new MutationObserver(() => told.push(document.getElementById('told')"
        ".textContent)).observe(document.getElementById('told'), {childList: true})"
    )
    say(page, LOST)
    assert page.locator(".turn .reply > .text").inner_text() == REPLY
    assert page.evaluate("window.told") == [f"Cooper says: {REPLY}"]  # once, not at every token
    assert page.locator(".cell[data-status=completed]").count() == STEPS
    assert "What is known about exploration." in page.locator(".lane").first.inner_text()

    scores = [float(s.replace("−", "-")) for s in page.locator(".score").all_inner_texts()]
    assert len(scores) >= STEPS + 3
    assert scores == sorted(scores, reverse=True)
    won = page.locator("#ranking .chosen .candidate").all_inner_texts()
    assert len(won) == 3
    assert page.locator(".topic").all_inner_texts() == won
    page.locator("#links path").first.wait_for(state="attached")
    assert page.evaluate("moves") == 0  # as the visitor wishes

    say(page, "My wife does not know.", turns=2)
    assert page.locator("#analysis-title").inner_text() == "Analysis of turn 2"
    assert page.locator("#chart .line circle").count() == 2
    page.locator(".turn").first.click(position={"x": 8, "y": 8})
    page.get_by_role("heading", name="Analysis of turn 1").wait_for()
    assert page.locator(".inspect").first.get_attribute("aria-pressed") == "true"

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page) == []

    page.reload()
    page.locator(".cell[data-status=completed]").nth(STEPS - 1).wait_for()
    assert page.locator(".said .text").all_inner_texts() == [LOST, "My wife does not know."]
    assert page.locator("#analysis-title").inner_text() == "Analysis of turn 2"


@in_browser
def test_stop_and_ask_again(page: Page, model: ScriptedModel) -> None:
    model.delays = {"generator": 20.0}
    page.get_by_label("Your message").fill(LOST)
    page.keyboard.press("Enter")
    page.locator(".doing", has_text="Writing the reply").wait_for()
    assert page.locator("#status").inner_text() == "Thinking"
    page.get_by_role("button", name="Stop").click()
    page.locator(".note", has_text="Stopped.").wait_for()
    assert page.evaluate("document.activeElement.id") == "message"  # where the button was

    model.delays = {}
    page.get_by_role("button", name="Ask for the reply").click()
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    assert page.locator(".turn").count() == 1
    assert page.locator(".note").is_hidden()


@in_browser
def test_the_first_message_is_asked_for_again_where_no_thread_was_made(page: Page) -> None:
    fail = {"status": 503, "json": {"error": {"message": "the database cannot be used"}}}
    page.route("**/threads", lambda route: route.fulfill(**fail), times=1)  # type: ignore[arg-type]
    page.get_by_label("Your message").fill(LOST)
    page.keyboard.press("Enter")
    page.locator(".note", has_text="the database cannot be used").wait_for()
    page.get_by_role("button", name="Ask for the reply").click()
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    assert page.locator(".turn").count() == 1


@in_browser
@pytest.mark.parametrize("leave", ["New", "Stop"])
def test_a_thread_that_comes_late_is_not_taken(page: Page, leave: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/threads", hold)
    with page.expect_request("**/threads"):
        page.get_by_label("Your message").fill(LOST)
        page.keyboard.press("Enter")
    page.get_by_role("button", name=leave).click()
    turns: list[str] = []
    page.on("request", lambda one: turns.append(one.url) if one.url.endswith("/turns") else None)
    with page.expect_request(lambda one: one.method == "DELETE"):
        held[0].continue_()
    page.unroute("**/threads")
    assert turns == []
    if leave == "Stop":
        page.get_by_role("button", name="Ask for the reply").click()
    else:
        page.locator("#tasks .choice").nth(1).click()
        page.get_by_label("Your message").fill(LOST)
        page.keyboard.press("Enter")
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    task = page.evaluate("fetch('threads/' + location.hash.slice(1)).then(r => r.json())")["task"]
    assert task == ("esc" if leave == "Stop" else "persuasion")


@in_browser
def test_an_enter_of_an_input_method_sends_nothing(page: Page) -> None:
    page.get_by_label("Your message").fill("にほん")
    press = """
        for (const keyCode of [229, 13]) {
          find.value = keyCode === 229 ? find.value : "日本";
          find.dispatchEvent(new KeyboardEvent("keydown",
            { key: "Enter", keyCode, bubbles: true, cancelable: true }));
        }
    """
    page.get_by_label("Your message").evaluate(f"(find) => {{ {press} }}")
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    assert page.locator(".said .text").all_inner_texts() == ["日本"]


@in_browser
def test_a_reload_while_a_turn_runs(page: Page, model: ScriptedModel) -> None:
    model.delays = {"generator": 3.0}
    page.get_by_label("Your message").fill(LOST)
    page.keyboard.press("Enter")
    page.locator(".doing", has_text="Writing the reply").wait_for()
    page.reload()
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    page.locator('#status[data-state="ready"]').wait_for()
    assert page.locator(".cell[data-status=completed]").count() == STEPS
    assert page.locator("#lost").is_hidden()


@in_browser
def test_an_analysis_is_lost_only_where_the_server_says_so(page: Page) -> None:
    say(page, LOST)
    busy = {"status": 429, "headers": {"Retry-After": "1"}}
    asked: list[float] = []

    def answer(route: Route) -> None:
        asked.append(time.monotonic())
        route.fulfill(**busy) if len(asked) == 1 else route.continue_()  # type: ignore[arg-type]

    page.route("**/events", answer)
    page.reload()
    page.locator("#lost", has_text="is being read").wait_for()
    page.locator(".cell[data-status=completed]").nth(STEPS - 1).wait_for()
    assert asked[1] - asked[0] >= 0.9
    assert page.locator("#lost").is_hidden()

    page.unroute("**/events")
    page.route("**/events", lambda route: route.fulfill(status=500), times=1)
    page.reload()
    page.locator("#lost", has_text="could not be read").wait_for()
    page.locator(".turn").click(position={"x": 8, "y": 8})
    page.locator(".cell[data-status=completed]").nth(STEPS - 1).wait_for()

    page.route("**/events", lambda route: route.fulfill(status=204))
    page.reload()
    page.locator("#lost", has_text="no longer keeps").wait_for()


@in_browser
def test_help_stays_in_view(page: Page) -> None:
    say(page, "I want to kill myself tonight.")
    shown = page.get_by_role("region", name="Help", exact=True)
    assert shown.get_by_role("link", name="988").get_attribute("href") == "tel:988"
    assert "988" in page.locator("#alarm").inner_text()
    say(page, "ok", turns=2)
    assert shown.is_visible()
    assert "no agent was asked" in page.locator("#lost").inner_text()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not is_wider_than_window(page)
    assert violations(page) == []
    page.reload()
    shown.wait_for()
    page.get_by_role("button", name="New").click()
    shown.wait_for(state="hidden")


@in_browser
def test_phone(page: Page) -> None:
    """At 320 pixels nothing is cut off, one panel is shown, and the keyboard reaches it all."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert not is_wider_than_window(page)
    say(page, f"{LOST} {'long' * 40} <img src=x onerror=alert(1)>")
    assert page.locator(".said .text").inner_text().endswith("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0  # texts are never markup
    assert page.locator("#analysis").is_hidden()
    assert not is_wider_than_window(page)
    assert violations(page) == []
    page.locator(".inspect").focus()
    page.keyboard.press("Enter")
    assert page.locator("#conversation").is_hidden()
    page.locator("#ranking .chosen").first.wait_for()
    assert not is_wider_than_window(page)
    assert violations(page) == []


@in_browser
def test_reconnects_after_the_last_event(page: Page) -> None:
    """A stream that breaks goes on after the last event; a message that was lost is sent again."""
    sent: list[str] = []
    asked: list[str | None] = []

    def cut(route: Route) -> None:
        sent.append(route.request.post_data_json["message_id"])
        if len(sent) == 1:
            route.abort("connectionreset")
            return
        answer = route.fetch()
        events = re.split(r"\r?\n\r?\n", answer.text())
        route.fulfill(response=answer, body="\n\n".join(events[:5]) + "\n\nid: 6\ndata: {bro")

    def note(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        route.continue_()

    page.route("**/turns", cut)
    page.route("**/events", note)
    page.get_by_label("Your message").fill(LOST)
    page.keyboard.press("Enter")
    page.locator('#status[data-state="reconnecting"]').wait_for()
    page.locator(".reply > .text", has_text=REPLY).wait_for()
    page.locator('#status[data-state="ready"]').wait_for()
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert asked == ["5"]
    assert page.locator(".cell[data-status=completed]").count() == STEPS


@in_browser
def test_a_fault_and_another_topic(page: Page, model: ScriptedModel) -> None:
    page.emulate_media(reduced_motion="no-preference")
    model.script = {"tracker:action": ValueError("no")}
    say(page, LOST)
    assert page.locator(".turn .degraded").inner_text() == "Degraded"
    assert page.locator("#faults li").count() == 1
    assert page.evaluate("moves") > 0
    before = page.url

    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Try another topic").click()
    page.get_by_label("Topic", exact=True).fill("Ask about the garden")
    assert violations(page) == []
    with page.expect_request("**/fork") as asked:
        page.get_by_role("button", name="Write the reply anew").click()
    assert asked.value.post_data_json["topic"]["topic"] == "Ask about the garden"
    page.wait_for_url(lambda url: url != before)
    page.locator('#status[data-state="ready"]').wait_for()
    assert page.locator(".reply > .text").inner_text() == REPLY
    assert page.locator("#ranking .candidate").first.inner_text() == "Ask about the garden"

    page.get_by_role("button", name="Conversations").click()
    page.locator("#threads li").nth(1).wait_for()
    assert violations(page) == []
    page.locator("#threads .thread:not([aria-current])").first.click()
    page.wait_for_url(lambda url: url == before)


@in_browser
def test_a_copy_of_a_copy_keeps_the_analysis(page: Page, client: Client) -> None:
    """Its turns are read from the threads that have them, and written anew there, too."""
    say(page, LOST)
    say(page, "My wife does not know.", turns=2)
    thread = page.url.split("#")[1]
    first = client.http.get(f"/threads/{thread}").json()["turns"][0]["id"]
    for _ in range(2):
        thread = client.http.post(f"/threads/{thread}/fork", json={}).json()["id"]
    page.goto(f"{page.url.split('#')[0]}#{thread}")
    page.reload()
    page.locator(".turn").nth(1).wait_for()
    page.locator(".cell[data-status=completed]").nth(STEPS - 1).wait_for()
    assert page.locator("#lost").is_hidden()

    page.get_by_role("button", name="Earlier").click()
    page.get_by_role("button", name="Try another topic").click()
    page.get_by_label("Topic", exact=True).fill("Ask about the garden")
    with page.expect_response("**/fork") as forked:
        page.get_by_role("button", name="Write the reply anew").click()
    assert forked.value.request.post_data_json["turn"] == first
    assert forked.value.status == 201
    page.locator("#ranking .candidate", has_text="Ask about the garden").wait_for()


@in_browser
def test_every_conversation_is_listed(page: Page, client: Client) -> None:
    for _ in range(101):
        client.thread()
    oldest = client.http.get("/threads", params={"limit": 100, "offset": 100}).json()["threads"]
    page.get_by_role("button", name="Conversations").click()
    page.locator("#threads li").nth(99).wait_for()
    assert page.locator("#threads li").count() == 100
    assert violations(page) == []
    page.get_by_role("button", name="More").click()
    page.locator("#threads li").nth(100).wait_for()
    assert page.locator("#threads li").count() == 100 + len(oldest)
    assert page.evaluate("document.activeElement.className") == "thread"  # the first that is new
    assert page.get_by_role("button", name="More").is_hidden()


@in_browser
def test_asks_for_a_token(browser: Browser, tmp_path: Path, model: ScriptedModel) -> None:
    owners = Tokens(["anna:a-long-enough-token"], "the test")
    offered = offers("persuasion", model=model)
    with serving(tmp_path / "talks.sqlite", offered, authenticate=owners) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        for token in ("“a-long-enough-token”", "a-wrong-token-here", "a-long-enough-token"):
            page.get_by_role("textbox", name="Token").fill(token)
            page.keyboard.press("Enter")
            if "“" in token:  # no header can hold it
                assert page.locator("#token:invalid").is_visible()
                assert page.evaluate("sessionStorage.length") == 0
            elif "wrong" in token:
                page.locator("#token-note", has_text="does not know that token").wait_for()
        page.get_by_role("button", name="Let Cooper begin").click()
        page.locator(".reply > .text", has_text=REPLY).wait_for()
        assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]
        context.close()


# Without a browser -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/style.css", "/page/icon.svg"])
def test_every_file_has_a_strict_policy(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = httpx.head(url + path)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "name", ["__init__.py", "none.js", "..%2Fapp.py", "%2e%2e/app.py", f"{300 * 'a'}.js"]
)
def test_nothing_else_is_served(url: str, name: str) -> None:
    assert httpx.get(f"{url}/page/{name}").status_code == 404


def test_nothing_comes_from_elsewhere_and_no_text_is_markup() -> None:
    for path in FOLDER.glob("*.[chj][st]*"):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        assert not found, path.name
        hosts = set(re.findall(r"https?://([\w.]+)", text))
        assert hosts <= {"www.w3.org"}, path.name


def test_the_wheel_holds_every_file() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    held = settings["tool"]["setuptools"]["package-data"][page_module.__name__]
    for path in FOLDER.iterdir():
        if path.is_file() and path.suffix != ".py":
            assert f"*{path.suffix}" in held
    named = re.findall(r'page/([\w.]+)"', (FOLDER / "index.html").read_text(encoding="utf-8"))
    for script in FOLDER.glob("*.js"):
        named += re.findall(r'from "\./([\w.]+)"', script.read_text(encoding="utf-8"))
    assert {*named} == {p.name for p in FOLDER.iterdir() if p.suffix in page_module.MEDIA}
