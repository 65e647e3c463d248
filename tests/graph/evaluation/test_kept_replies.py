"""Kept replies: known by what made them, and measured as they are kept."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from langgraph_cooper.graph.evaluation import speakers as made
from langgraph_cooper.graph.evaluation.generation import RealTurns, reply_to_all
from langgraph_cooper.graph.evaluation.interactive.run import Interactive
from langgraph_cooper.graph.evaluation.interactive.systems import make_system
from langgraph_cooper.graph.evaluation.interactive.users import PromptedUser
from langgraph_cooper.graph.evaluation.speakers import Reply, Speaker, speakers
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.crisis import classifier
from langgraph_cooper.nodes.finetuned import relevance
from langgraph_cooper.nodes.offline import cross_encoder
from langgraph_cooper.nodes.subjects import decider
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
    before, settings = identities("bank"), settings_of_a_run()
    assert identities("bank") == before
    change(shipped / file)
    assert not before & identities("bank")
    assert settings_of_a_run() == settings  # systems without a ranker go on


def identities(system: str) -> set[str]:
    """What tells a system's replies, and its conversations, from those of others."""
    limits = CooperContext()
    spoken = speakers(ESC, [system], None, limits)[system].identity
    return {spoken, make_system(system, system, ESC, None, limits).identity}


def settings_of_a_run() -> object:
    chat = FakeListChatModel(responses=["Hello."])
    user = PromptedUser(ESC, chat, "a user", CooperContext())
    return Interactive(ESC, [], [], [], user, 1, 1, {}, {}).settings()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize(
    ("module", "systems", "others"),
    [
        (classifier, ["bank", "finetuned"], ["finetuned-alone"]),
        (cross_encoder, ["bank", "finetuned"], ["finetuned-alone"]),
        (relevance, ["finetuned", "finetuned-alone"], ["bank"]),
    ],
)
def test_another_model_of_the_pipeline_makes_other_replies(
    module: Any,
    systems: Sequence[str],
    others: Sequence[str],
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made, "loaded_voice", lambda _: None)
    folder = tmp_path / "shipped"
    models = ["config.json", "model.safetensors"]
    for name in [f"esc/{name}" for name in models] if module is relevance else models:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module.SHIPPED / name, folder / name)
    monkeypatch.setattr(module, "SHIPPED", folder)
    before = {name: identities(name) for name in [*systems, *others]}
    spaced(next(folder.rglob(file)))
    assert all(not before[name] & identities(name) for name in systems)
    assert all(before[name] == identities(name) for name in others)


def test_another_model_of_decisions_makes_other_replies_of_tasks_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashes() -> list[str]:
        return [made.pipeline_sha256(load_task(name)) for name in ("esc", "persuasion")]

    before = hashes()
    shutil.copytree(decider.SHIPPED, tmp_path / "shipped")
    monkeypatch.setattr(decider, "SHIPPED", tmp_path / "shipped")
    spaced(tmp_path / "shipped" / "model.safetensors")
    esc, persuasion = hashes()
    assert esc == before[0]
    assert persuasion != before[1]


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


def test_what_reads_the_words_alone_is_asked_for_no_kept_turn(tmp_path: Path) -> None:
    said = [LabelledUtterance(speaker=who, text=text) for who, text in (
        ("user", "Hello."), ("system", "Hi."), ("user", "I am sad."), ("system", "Why?"),
    )]  # fmt: skip
    turns = RealTurns.of([Dialogue(id="1", utterances=tuple(said))], ESC)
    kept, heard = tmp_path / "kept.jsonl", list[int]()

    async def talk(history: Sequence[Utterance]) -> Reply:
        heard.append(len(history))
        return Reply(str(len(heard)))

    speaker = Speaker("drawn", "drawn", lambda: talk, carries=False)
    asyncio.run(reply_to_all(speaker, turns.first(1), kept))
    whole = asyncio.run(reply_to_all(speaker, turns, kept))
    assert heard == [1, 3]
    assert [reply.text for reply in whole.by_row.values()] == ["1", "2"]


@pytest.mark.parametrize("name", ["plain", "cot", "mixinit"])
def test_the_baselines_read_the_words_alone(name: str) -> None:
    model = FakeListChatModel(responses=["Hello."])
    assert not speakers(ESC, [name], model, CooperContext())[name].carries


def test_dialogues_that_begin_alike_have_replies_of_their_own(tmp_path: Path) -> None:
    said = [LabelledUtterance(speaker=who, text=text) for who, text in (
        ("system", "Hi."), ("user", "Hello."), ("system", "How are you?"),
    )]  # fmt: skip
    turns = RealTurns.of([Dialogue(id=name, utterances=tuple(said)) for name in "12"], ESC)
    kept, drawn = tmp_path / "kept.jsonl", itertools.count()

    async def talk(_: Sequence[Utterance]) -> Reply:
        return Reply(str(next(drawn)))

    speaker = Speaker("drawn", "drawn", lambda: talk)
    first = asyncio.run(reply_to_all(speaker, turns, kept))
    assert [reply.text for reply in first.by_row.values()] == ["0", "1", "2", "3"]
    assert asyncio.run(reply_to_all(speaker, turns, kept)) == first
