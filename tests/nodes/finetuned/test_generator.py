from __future__ import annotations

import asyncio
import faulthandler
import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.backend import GeneratorInput
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned import generator
from langgraph_cooper.nodes.finetuned.cache import quick_copy
from langgraph_cooper.nodes.finetuned.engine import Engine, Sampling
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Given, TopicLine
from langgraph_cooper.nodes.finetuned.generator import finetuned_generator, seed_of
from langgraph_cooper.nodes.offline.generator import OfflineGenerator
from langgraph_cooper.nodes.state import RankedCandidate
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.nodes.finetuned.conftest import Make
from tests.support.rankers import FakeRanker

ESC = load_task("esc")
SAID = [Utterance("user", "I lost my job.")]


def topic(text: str, source: Any = "bank") -> RankedCandidate:
    return RankedCandidate(
        rank=1, score=1.0, aspect="exploration", strategy="Question", topic=text, source=source
    )


def given_input(*topics: RankedCandidate) -> GeneratorInput:
    return GeneratorInput(history=SAID, topics=topics, states={"exploration": "The job is gone."})


class FakeEngine:
    """Gives prepared samples, and keeps what it was asked."""

    def __init__(self, samples: Sequence[str] = ("One.", "Two."), wait: float = 0.0) -> None:
        self.samples, self.wait = samples, wait
        self.asked: list[tuple[Given, int]] = []
        self.ended = threading.Event()

    def sample(
        self,
        given: Sequence[Given],
        sampling: Sampling,
        *,
        seed: int,
        stopped: Callable[[], bool] = lambda: False,
    ) -> list[list[str]]:
        self.asked.append((given[0], seed))
        until = time.monotonic() + self.wait
        while time.monotonic() < until and not stopped():
            time.sleep(0.01)
        self.ended.set()
        return [list(self.samples)]


def last(_: object, samples: Sequence[str], fallback: str, topics: Sequence[str]) -> str:
    return f"{samples[-1]} ({fallback}) {list(topics)}"


def speaker(engine: Any, choose: Any = last) -> Any:
    return finetuned_generator(OfflineGenerator(ESC), lambda: engine, choose)


def test_the_chosen_sample_is_said() -> None:
    engine = FakeEngine()
    bank, outline = topic("What worries you most about money right now?"), topic("Ask", "model")
    said = speaker(engine).invoke(given_input(outline, bank)).content
    only_bank = OfflineGenerator(ESC)({**given_input(bank)}).content
    assert said.startswith(f"Two. ({only_bank})")  # never a model's outline
    asked, seed = engine.asked[0]
    assert asked == Given(
        SAID,
        {"exploration": "The job is gone."},
        [TopicLine("Question", "Ask"), TopicLine("Question", bank["topic"])],
    )
    assert seed == seed_of(SAID) != seed_of([Utterance("user", "I lost it.")])


def test_without_samples_the_bank_speaks() -> None:
    said = speaker(FakeEngine(["", ""])).invoke(given_input(topic("How are you feeling?")))
    assert said.content


def test_without_the_package_the_bank_speaks_and_the_log_tells_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise VoiceMissing("install it")

    monkeypatch.setattr(generator, "_told", set())
    speaks = finetuned_generator(OfflineGenerator(ESC), missing, last)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert speaks.invoke(given_input(topic("How are you feeling?"))).content
    assert [record.message for record in caplog.records] == ["the bank speaks instead: install it"]


async def test_a_cancelled_turn_stops_the_sampling() -> None:
    engine = FakeEngine(wait=20)
    task = asyncio.create_task(speaker(engine).ainvoke(given_input(topic("Ask"))))
    while not engine.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(engine.ended.wait, 5)


async def test_the_reply_is_streamed_word_by_word() -> None:
    words = [chunk.content async for chunk in speaker(FakeEngine()).astream(given_input())]
    assert len(words) > 2
    assert "".join(words).startswith("Two. (")


def test_a_graph_speaks_with_a_trained_generator(
    make_voice: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra `voice`")
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path))
    monkeypatch.setattr(generator, "chooser", lambda *_: lambda _h, samples, *_: samples[0])
    voice = make_voice()
    graph = create_cooper("esc", generator=voice.folder, ranker=FakeRanker()).compile()
    said = {"messages": [HumanMessage("I lost my job.")]}
    trained = graph.invoke(said)["messages"][-1].text
    bank = graph.invoke(said, context={"generator": "bank"})["messages"][-1].text
    assert trained
    assert trained != bank
    plain = create_cooper("esc", ranker=FakeRanker()).compile()
    assert bank == plain.invoke(said)["messages"][-1].text


def test_a_generator_that_does_not_fit_is_refused(make_voice: Make) -> None:
    other = make_voice(task="persuasion").folder
    with pytest.raises(VoiceError, match="trained for the task 'persuasion'"):
        create_cooper("esc", generator=other)
    with pytest.raises(VoiceError, match="is no fine-tuned generator"):
        create_cooper("esc", generator=other.parent)
    with pytest.raises(VoiceError, match="no fine-tuned generator is shipped"):
        create_cooper("examples/negotiation.toml", generator="finetuned")
    with pytest.raises(ModelError, match="both given"):
        create_cooper("esc", generator="bank", generator_model="some-model")


def test_a_forked_child_speaks(make_voice: Make, tmp_path: Any) -> None:
    """A child that is forked after the model was loaded loads its own."""
    import os

    pytest.importorskip("ctranslate2", reason="needs the extra `voice`")
    voice = make_voice()
    engine = Engine(quick_copy(voice, cache=tmp_path), voice.config)
    turn = Given(SAID, {}, [TopicLine("Question", "Ask more.")])
    assert engine.sample([turn], Sampling(samples=2))
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(30, exit=True)
        os.write(writer, str(len(engine.sample([turn], Sampling(samples=2))[0])).encode())
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 9) == b"2"
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)
    assert engine.sample([turn], Sampling(samples=2))
