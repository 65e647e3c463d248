"""People's ratings: the file, the server behind the page, the report, the commands."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from langgraph_cooper.graph.evaluation.judging.ratings import read_ratings as read_rated
from langgraph_cooper.graph.evaluation.rating import page, serve
from langgraph_cooper.graph.evaluation.rating.app import create_app
from langgraph_cooper.graph.evaluation.rating.errors import RatingError
from langgraph_cooper.graph.evaluation.rating.report import rating_report
from langgraph_cooper.graph.evaluation.rating.rows import (
    Pairs,
    conversation_id,
    read_pairs,
    read_ratings,
)
from langgraph_cooper.graph.server import page as shared
from langgraph_cooper.ranker.data.dialogue import DataError
from tests.support.commands import Cooper
from tests.support.conversations import conversation, write_conversations
from tests.support.rating import (
    DIMENSIONS,
    ESC,
    SYSTEMS,
    answered,
    pairs_in,
    ratings_in,
    rows_of,
    talks,
)

TIES = dict.fromkeys(DIMENSIONS, "tie")


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return pairs_in(tmp_path, 8)


def client(app: FastAPI, host: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


def report_of(tmp_path: Path, pairs: Pairs) -> dict[str, Any]:
    questions, ratings = read_ratings(tmp_path / "rated.jsonl", pairs)
    return rating_report(pairs, ratings, questions)


# The file ----------------------------------------------------------------------------------------


def test_each_rater_has_an_order_and_sides(tmp_path: Path, pairs: Pairs) -> None:
    ratings, again = ratings_in(tmp_path, pairs), ratings_in(tmp_path, pairs)
    other = ratings_in(tmp_path, pairs, seed=2)
    assert ratings.order("anna") == again.order("anna")
    assert len({tuple(one.order(name)) for one in (ratings, other) for name in ("a", "b")}) == 4
    lefts = {
        name: [ratings.sides(name, id)[0] for id in sorted(ratings.pairs)] for name in ("a", "b")
    }
    assert lefts["a"] != lefts["b"]
    of_first = {conversation_id(pair.one) for pair in pairs.by_id.values()}
    assert 0 < sum(key in of_first for key in lefts["a"]) < len(pairs.by_id)
    some = ratings_in(tmp_path, pairs, limit=3)
    assert set(some.order("a")) == set(some.order("b")) < set(ratings.order("a"))


def test_goes_on_after_a_stop_and_a_change(tmp_path: Path, pairs: Pairs) -> None:
    """The last row of a pair counts; half a row is dropped; sides stay with another seed."""
    ratings = ratings_in(tmp_path, pairs)
    answered(ratings, "Anna", {}, limit=2)
    first = ratings.order("Anna")[0]
    left, right = ratings.sides("Anna", first)
    ratings.answer("Anna", first, left, {**TIES, "empathy": "right"}, "I changed my mind.")
    file = tmp_path / "rated.jsonl"
    assert len(rows_of(file)) == 3
    with file.open("a") as stream:
        stream.write('{"key": "half')

    for seed in range(1, 6):
        again = ratings_in(tmp_path, pairs, seed=seed)
        assert again.sides("Anna", first) == (left, right)
    assert again.known_as(" anna ") == "Anna"
    found = again.rating("Anna", first)
    assert found
    assert (found.answers["empathy"], found.comment) == ("right", "I changed my mind.")
    assert [again.rating("Anna", id) is not None for id in again.pairs].count(True) == 2
    answered(again, "Ben", {}, limit=1)
    assert len(rows_of(file)) == 4
    assert not any(system in file.read_text() for system in SYSTEMS)  # the file is blind, too


def test_refuses_what_is_no_answer(tmp_path: Path, pairs: Pairs) -> None:
    ratings = ratings_in(tmp_path, pairs)
    id = ratings.order("a")[0]
    left, _ = ratings.sides("a", id)
    for answers in ({}, {**TIES, "charm": "left"}):
        with pytest.raises(RatingError):
            ratings.answer("a", id, left, answers)
    with pytest.raises(RatingError, match="other conversations"):
        ratings.answer("a", id, "another", TIES)
    for name in ("", "  ", "a" * 61, "a\x00b"):
        with pytest.raises(RatingError, match="name"):
            ratings.known_as(name)
    assert not (tmp_path / "rated.jsonl").exists()


def test_a_full_disk_loses_no_row(tmp_path: Path, pairs: Pairs, monkeypatch: Any) -> None:
    """Half a row that a full disk left is removed before the next one."""
    ratings = ratings_in(tmp_path, pairs)
    answered(ratings, "a", {}, limit=1)
    file, (_, second, *_) = tmp_path / "rated.jsonl", ratings.order("a")

    def fill(kept: Any, lines: list[str]) -> None:
        with file.open("a") as stream:
            stream.write(lines[0][:40])
        raise kept._unwritable(OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(type(ratings._kept), "_append", fill)
        with pytest.raises(DataError, match="No space left"):
            ratings.answer("a", second, ratings.sides("a", second)[0], TIES)
    assert ratings.rating("a", second) is None
    answered(ratings, "a", {}, limit=2)
    assert len(rows_of(file)) == 3


# The server --------------------------------------------------------------------------------------


async def test_nothing_tells_the_systems(tmp_path: Path, pairs: Pairs) -> None:
    async with client(create_app(ratings_in(tmp_path, pairs), ESC)) as http:
        said = [(await http.get("/rating/work")).text, (await http.get("/")).text]
        state = (await http.get("/rating/state", params={"rater": "Anna"})).json()
        assert len(state["pairs"]) == 8
        for each in state["pairs"]:
            answer = await http.get(f"/rating/pairs/{each['id']}", params={"rater": "Anna"})
            assert answer.json()["left"]["said"][1]["by"] == "system"
            said.append(answer.text)
    assert not any(system in text for system in (*SYSTEMS, "exploration") for text in said)


async def test_keeps_an_answer(tmp_path: Path, pairs: Pairs) -> None:
    asked = {"params": {"rater": "Anna"}}
    async with client(create_app(ratings_in(tmp_path, pairs), ESC)) as http:
        id = (await http.get("/rating/state", **asked)).json()["pairs"][0]["id"]
        left = (await http.get(f"/rating/pairs/{id}", **asked)).json()["left"]["id"]
        body = {"left": left, "answers": {**TIES, "overall": "left"}}
        state = (await http.put(f"/rating/pairs/{id}", json=body, **asked)).json()
        assert state["pairs"][0] == {"id": id, "done": True}
        assert state["counts"]["overall"] == {"left": 1, "tie": 0, "right": 0}
        assert (await http.get(f"/rating/pairs/{id}", **asked)).json()["answers"] == body["answers"]

        for wrong, status in (
            ({"left": left, "answers": {}}, 422),
            ({"left": left, "answers": {**TIES, "overall": "both"}}, 422),
            ({"left": left, "answers": TIES, "comment": "x" * 5_000}, 422),
            ({"left": left, "answers": TIES, "comment": "x" * 200_000}, 413),
        ):
            answer = await http.put(f"/rating/pairs/{id}", json=wrong, **asked)
            assert (answer.status_code, [*answer.json()]) == (status, ["error"])
        assert (await http.get("/rating/pairs/none", **asked)).status_code == 404
        assert (await http.get("/rating/state")).status_code == 422  # nobody's
    (row,) = rows_of(tmp_path / "rated.jsonl")
    assert (row["rater"], row["pair"], row["left"], row["seed"]) == ("Anna", id, left, 1)


async def test_answers_its_own_page_alone(tmp_path: Path, pairs: Pairs) -> None:
    ratings = ratings_in(tmp_path, pairs)
    async with client(create_app(ratings, ESC), "rebound.example") as http:
        assert (await http.get("/rating/work")).status_code == 403
    async with client(create_app(ratings, ESC, rater="Anna")) as http:
        assert (await http.get("/rating/state", params={"rater": "Ben"})).json()["rater"] == "Anna"
        for name in ("rate.js", "rate.css", *page.SHARED):
            answer = await http.get(f"/page/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == shared.POLICY
        for name in ("app.js", "__init__.py", "..%2Fapp.py"):
            assert (await http.get(f"/page/{name}")).status_code == 404


# The report --------------------------------------------------------------------------------------


def test_report(tmp_path: Path, pairs: Pairs) -> None:
    """Three raters: the majority of each pair, exact tests, agreement, a constant rater."""
    ratings = ratings_in(tmp_path, pairs)
    roles = [f"role-{number}" for number in range(8)]
    answered(ratings, "Anna", dict.fromkeys(roles, "walrus"))
    answered(ratings, "Ben", dict.fromkeys(roles[:7], "walrus") | {roles[7]: "heron"})
    answered(ratings, "Cleo", dict.fromkeys(roles, "left"))
    found = report_of(tmp_path, pairs)

    assert (found["pairs"], found["rated"], found["ratings"]) == (8, 8, 24)
    (compared,) = found["compared"]
    assert (compared["systems"], compared["pairs"]) == (["walrus", "heron"], 8)
    row = compared["dimensions"]["empathy"]
    assert row["roles_won"] == row["wins"]
    assert (row["wins"] + row["ties"] + row["losses"], row["wins"] >= 7) == (8, True)
    assert row["p"] <= 2 * 9 / 256  # at least seven of eight
    assert row["p_holm"] == pytest.approx(min(1, 6 * row["p"]))  # six questions, all answered alike
    assert {name: each["always"] for name, each in found["raters"].items()} == {
        "Anna": None, "Ben": None, "Cleo": "left"
    }  # fmt: skip
    assert found["agreement"]["empathy"]["pairs_of_all_raters"] == 8
    assert -1 < found["agreement"]["empathy"]["fleiss_kappa"] < 0.6


def test_report_of_raters_who_agree_and_of_few(tmp_path: Path, pairs: Pairs) -> None:
    ratings = ratings_in(tmp_path, pairs)
    better = {"role-1": "walrus", "role-2": "heron", "role-3": "walrus"}
    answered(ratings, "Anna", better)
    answered(ratings, "Ben", better)
    answered(ratings, "Cleo", dict.fromkeys(map("role-{}".format, range(8)), "right"), limit=5)
    found = report_of(tmp_path, pairs)
    assert found["raters"]["Cleo"]["always"] is None  # five answers can fall alike by chance
    assert found["agreement"]["empathy"]["pairs_of_all_raters"] == 5
    file = tmp_path / "rated.jsonl"
    kept = [line for line in file.read_text().splitlines() if '"rater": "Cleo"' not in line]
    file.write_text("\n".join(kept) + "\n")
    found = report_of(tmp_path, pairs)
    assert found["agreement"]["empathy"]["fleiss_kappa"] == pytest.approx(1)
    assert found["agreement"]["empathy"]["krippendorff_alpha"] == pytest.approx(1)
    row = found["compared"][0]["dimensions"]["overall"]
    assert (row["wins"], row["ties"], row["losses"], row["p"]) == (2, 5, 1, 1.0)


# The commands ------------------------------------------------------------------------------------


def test_commands(
    cooper: Cooper, tmp_path: Path, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[FastAPI] = []

    def stand_in(app: FastAPI, listening: socket.socket, ready: Any) -> None:
        with listening:
            served.append(app)
            ready(f"http://127.0.0.1:{listening.getsockname()[1]}")

    monkeypatch.setattr(serve, "serve", stand_in)
    done = cooper("evaluate", "rate", pairs.file, "--port", "0", "--limit", "5")
    assert done.code == 0
    assert "rate on http://127.0.0.1:" in done.err
    assert "5 pairs" in done.err
    assert "warning" not in done.err
    done = cooper("evaluate", "rate", pairs.file, "--port", "0", "--host", "0.0.0.0")
    assert "warning: anybody who reaches 0.0.0.0" in done.err
    assert len(served) == 2

    file = tmp_path / "talks.rated.jsonl"
    answered(ratings_in(tmp_path, pairs), "Anna", {})
    (tmp_path / "rated.jsonl").rename(file)
    ratings = cooper("evaluate", "ratings", file, "--conversations", pairs.file)
    assert "walrus against heron" in ratings.out
    assert "Anna always chose tie" in ratings.err
    given = ("--conversations", pairs.file, "--output", tmp_path / "people.jsonl", "--json")
    report = cooper("evaluate", "ratings", file, *given).json()
    (tmp_path / "report.json").write_text(json.dumps(report))
    drawn = cooper("plot", "wins", tmp_path / "report.json", "--output", tmp_path)
    assert drawn.code == 0, drawn.err
    people = read_rated([tmp_path / "people.jsonl"])
    assert len(people) == 8 * len(DIMENSIONS)
    assert {one.majority for one in people} == {"tie"}
    assert all(one.question for one in people)
    assert report["raters"]["Anna"]["overall"] == {"left": 0, "tie": 8, "right": 0}


def test_bad_input(cooper: Cooper, tmp_path: Path, pairs: Pairs) -> None:
    ratings = ratings_in(tmp_path, pairs)
    answered(ratings, "Anna", {}, limit=2)
    rated = tmp_path / "rated.jsonl"
    rate = ("evaluate", "rate")

    one = [conversation("walrus", role, "Hm.") for role in "ab"]
    cooper(*rate, write_conversations(tmp_path / "one.jsonl", *one)).fails("one system")
    fault = {"ended": {"by": "fault", "how": "system: timeout"}}
    faulty = [conversation("walrus", "a", "Hm."), conversation("heron", "a", "Hm.", **fault)]
    cooper(*rate, write_conversations(tmp_path / "faulty.jsonl", *faulty)).fails("no pair", "fault")
    cooper(*rate, tmp_path / "none.jsonl").fails("no such file")
    cooper(*rate, rated).fails("something else")

    other = write_conversations(tmp_path / "other.jsonl", *talks(8, "Oh."))
    cooper("evaluate", "ratings", rated, "--conversations", other).fails("other conversations")
    cooper(*rate, other, "--data", rated).fails("other conversations", "2 of 2 pairs")
    empty = tmp_path / "none.jsonl"
    cooper("evaluate", "ratings", empty, "--conversations", pairs.file).fails("no such file")
    cooper("evaluate", "ratings", other, "--conversations", pairs.file).fails("something else")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cooper(*rate, pairs.file, "--port", port).fails(f"port {port}", "in use", "--port")
    cooper(*rate, pairs.file, "--rater", " ").fails("name")


def test_a_task_of_ones_own_is_named(cooper: Cooper, tmp_path: Path) -> None:
    file = write_conversations(tmp_path / "own.jsonl", *talks(1), task="tutoring")
    done = cooper("evaluate", "rate", file)
    assert done.code == 2
    assert "--task" in done.err
    assert len(read_pairs(file).by_id) == 1


def test_the_wheel_holds_the_page() -> None:
    import tomllib

    root = Path(__file__).parents[3]
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    held = settings["tool"]["setuptools"]["package-data"][page.__name__]
    files = [path for path in page.FOLDER.iterdir() if path.is_file() and path.suffix != ".py"]
    assert {f"*{path.suffix}" for path in files} == set(held)
    assert json.dumps(settings).count(page.__name__) == 3  # packages, their folders, their data
