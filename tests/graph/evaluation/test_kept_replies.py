"""Kept replies: known by what made them, and measured as they are kept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel

from langgraph_cooper.graph.evaluation import speakers as made
from langgraph_cooper.graph.evaluation.generation import RealTurns, reply_to_all
from langgraph_cooper.graph.evaluation.interactive.run import Interactive
from langgraph_cooper.graph.evaluation.interactive.users import PromptedUser
from langgraph_cooper.graph.evaluation.speakers import Reply, Speaker, speakers
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker import load
from langgraph_cooper.ranker.data.dialogue import Dialogue, LabelledUtterance, Utterance

ESC = load_task("esc")


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the shipped ranker that takes its place."""
    folder = tmp_path / "checkpoints" / "esc"
    shutil.copytree(load.SHIPPED / "esc", folder)
    monkeypatch.setattr(load, "SHIPPED", folder.parent)
    return folder


def spaced(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


def without(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("file", "change"),
    [("calibration.json", spaced), ("calibration.json", without), ("model.safetensors", spaced)],
)
def test_another_ranker_makes_other_replies(
    file: str, change: Callable[[Path], None], shipped: Path
) -> None:
    def identity() -> str:
        return speakers(ESC, ["bank"], None, CooperContext())["bank"].identity

    def settings() -> object:
        chat = FakeListChatModel(responses=["Hello."])
        user = PromptedUser(ESC, chat, "a user", CooperContext())
        run = Interactive(ESC, [], [], [], user, 1, 1, {}, {})
        return run.settings()["made_with"]

    before = identity(), settings()
    assert (identity(), settings()) == before
    change(shipped / file)
    assert identity() != before[0]
    assert settings() != before[1]


@pytest.mark.parametrize("system", ["plain", "cot", "mixinit"])
def test_another_shared_prompt_makes_other_replies(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity() -> str:
        chat = FakeListChatModel(responses=["Hello."])
        return speakers(ESC, [system], chat, CooperContext())[system].identity

    before = identity()
    assert identity() == before
    monkeypatch.setattr(made, "shared_prompt", lambda kind: f"Another prompt of {kind}.")
    assert identity() != before


def test_a_resumed_run_measures_what_is_kept(tmp_path: Path) -> None:
    said = [LabelledUtterance(speaker=who, text=text) for who, text in (
        ("user", "Hello."), ("system", "Hi."), ("user", "I am sad."), ("system", "Why?"),
    )]  # fmt: skip
    turns = RealTurns.of([Dialogue(id="1", utterances=tuple(said))], ESC)
    kept, drawn = tmp_path / "kept.jsonl", iter("abcdef")
    heard: list[int] = []

    async def talk(history: Sequence[Utterance]) -> Reply:
        heard.append(len(history))
        return Reply(next(drawn))

    speaker = Speaker("drawn", "drawn", lambda: talk)
    asyncio.run(reply_to_all(speaker, turns.first(1), kept))
    whole = asyncio.run(reply_to_all(speaker, turns, kept))
    assert heard == [1, 1, 3]  # from the first turn on: a system may carry its state
    assert [reply.text for reply in whole.by_row.values()] == ["a", "c"]
    again = asyncio.run(reply_to_all(speaker, turns, kept))
    assert again == whole
