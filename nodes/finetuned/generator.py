"""The fine-tuned generator as a backend's generator: samples replies and says the chosen one."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda

from langgraph_cooper.nodes.backend import GeneratorInput
from langgraph_cooper.nodes.finetuned.errors import VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Given, TopicLine
from langgraph_cooper.nodes.finetuned.mbr import most_typical
from langgraph_cooper.nodes.finetuned.tape import drawn
from langgraph_cooper.nodes.state import RankedCandidate
from langgraph_cooper.nodes.voice import OfflineVoice
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langgraph_cooper.nodes.finetuned.engine import Engine, Sampling

LOG = logging.getLogger(__name__)

Bank = Callable[[GeneratorInput], AIMessage]
"""Composes the bank's sentence."""

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts -> [N, n_d] sentence embeddings of unit norm."""

Choose = Callable[[Sequence[Utterance], Sequence[str], str, Sequence[str]], str]
"""Chooses a reply: history, samples, the bank's sentence, topics -> what is said."""

_CHOICE = "langgraph_cooper.nodes.finetuned.choice"
_told: set[str] = set()


def finetuned_generator(
    bank: Bank,
    load: Callable[[], Engine],
    choose: Choose,
    *,
    sampling: Sampling | None = None,
) -> Runnable[GeneratorInput, AIMessage]:
    """Build a generator that samples replies and says the one that is chosen.

    The samples are drawn from a seed that the history gives. Without the extra `voice` it says the
    bank's sentences, and the log tells once how to get it.

    Args:
        bank: Composes the sentence to fall back on.
        load: Returns the engine; called with each turn.
        choose: Chooses among the samples.
        sampling: How replies are drawn; None: the defaults.
    """

    def reply(given: GeneratorInput, stopped: Callable[[], bool]) -> str:
        fallback = _bank_sentence(bank, given)
        samples = _samples(given, load, sampling, stopped)
        topics = [topic["topic"] for topic in given["topics"]]
        return choose(given["history"], samples, fallback, topics) if samples else fallback

    def script(given: GeneratorInput) -> list[BaseMessage]:
        return [AIMessage(reply(given, lambda: False))]

    async def ascript(given: GeneratorInput) -> list[BaseMessage]:
        left = threading.Event()
        try:
            return [AIMessage(await asyncio.to_thread(reply, given, left.is_set))]
        finally:
            left.set()  # the thread goes on after a cancellation: let it end at the next token

    return RunnableLambda(script, afunc=ascript, name="sample") | OfflineVoice()


def given_of(
    history: Sequence[Utterance],
    states: Mapping[str, str],
    topics: Sequence[RankedCandidate],
) -> Given:
    """Return what a reply depends on, from what the graph holds."""
    lines = [TopicLine(topic["strategy"], topic["topic"]) for topic in topics]
    return Given(history, states, lines)


def chooser(task: TaskSpec, embed: Embed) -> Choose:
    """Return what chooses among samples: the trained scorer, else the most typical sample."""
    if find_spec(_CHOICE) is None:
        return lambda _history, samples, _fallback, _topics: samples[most_typical(samples)]
    lock = threading.Lock()
    made: list[Any] = []

    def choose(
        history: Sequence[Utterance], samples: Sequence[str], fallback: str, topics: Sequence[str]
    ) -> str:
        with lock:
            if not made:
                made.append(importlib.import_module(_CHOICE).load_chooser(task, embed))
        text: str = made[0].choose(history, samples, fallback, topics).text
        return text

    return choose


def seed_of(history: Sequence[Utterance]) -> int:
    """Return the seed of a turn: the same history draws the same samples."""
    text = "\n".join(f"{said.speaker}: {said.text}" for said in history)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")


def _samples(
    given: GeneratorInput,
    load: Callable[[], Engine],
    sampling: Sampling | None,
    stopped: Callable[[], bool],
) -> list[str]:
    from langgraph_cooper.nodes.finetuned.engine import Sampling

    turn = given_of(given["history"], given.get("states", {}), given["topics"])
    seed = seed_of(given["history"])

    def draw() -> list[str]:
        found = load().sample([turn], sampling or Sampling(), seed=seed, stopped=stopped)
        return [sample for sample in found[0] if sample]

    try:
        return drawn(seed, draw)
    except VoiceMissing as missing:
        if str(missing) not in _told:
            _told.add(str(missing))
            LOG.warning("the bank speaks instead: %s", missing)
        return []


def _bank_sentence(bank: Bank, given: GeneratorInput) -> str:
    """Return the sentence to fall back on; a model's topics are outlines and cannot be said."""
    sayable = [topic for topic in given["topics"] if topic["source"] == "bank"]
    return str(bank({**given, "topics": sayable}).content)
