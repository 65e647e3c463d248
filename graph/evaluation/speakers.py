"""The systems that can be compared: COOPER's generators, and the paper's prompt baselines.

A further system is a function from its settings to a `Speaker`, registered in `MAKERS`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.candidates import distinct_topics
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, open_voice
from langgraph_cooper.nodes.finetuned.format import Given
from langgraph_cooper.nodes.finetuned.generator import given_of, seed_of
from langgraph_cooper.nodes.finetuned.mbr import most_typical
from langgraph_cooper.nodes.finetuned.tape import drawn
from langgraph_cooper.nodes.llm.baselines import BASELINES, llm_baseline
from langgraph_cooper.nodes.llm.models import chat_model, identity
from langgraph_cooper.nodes.resources import voice_of
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.data.dialogue import DataError, Utterance
from langgraph_cooper.ranker.load import shipped_checkpoint
from langgraph_cooper.ranker.model.calibration import FILE as CALIBRATION
from langgraph_cooper.ranker.model.checkpoint import CONFIG, WEIGHTS
from langgraph_cooper.ranker.model.encoder import file_sha256

if TYPE_CHECKING:
    from langgraph_cooper.nodes.finetuned.engine import Engine

LOG = logging.getLogger(__name__)

BANK, FINETUNED, PROMPTED = "bank", "finetuned", "prompted"
FINETUNED_MBR, FINETUNED_ALONE = "finetuned-mbr", "finetuned-alone"
FINETUNED_ANNOTATED = "finetuned-annotated"
"""The most typical sample on the states and candidates of the data; it needs the data to be made
(`evaluate_text.py`)."""
MBR_SAMPLES = 16
"""Samples that vote for the most typical one; a conversation draws fewer, for its speed."""
CARRIED = "guard"  # beside the agents' reports, from turn to turn


class Reply(NamedTuple):
    """A reply, and the aspect of the goal that the system put first, if it names one."""

    text: str
    aspect: str | None = None


Talk = Callable[[Sequence[Utterance]], Awaitable[Reply]]
"""Replies to the turns of one dialogue, in order: the history -> the reply."""


@dataclass(frozen=True)
class Speaker:
    """A system that replies.

    Attributes:
        name: Its name in the report.
        identity: Tells its replies from those of another system, model or task.
        talk: Begins a dialogue.
        about: Begins the dialogue of this id, for a system that knows more of it than its words;
            None: `talk` does.
        carries: Whether it carries something else than the words from turn to turn.
    """

    name: str
    identity: str
    talk: Callable[[], Talk]
    about: Callable[[str], Talk] | None = None
    carries: bool = True


class Settings(NamedTuple):
    """The choices of a system.

    Attributes:
        task: The task.
        model: The chat model; None: offline.
        limits: Those of a turn.
        generator: The folder of a fine-tuned generator; None: the one shipped for the task.
    """

    task: TaskSpec
    model: BaseChatModel | None
    limits: CooperContext
    generator: Path | None = None

    @property
    def voice(self) -> VoiceCheckpoint:
        """The fine-tuned generator.

        Raises:
            VoiceError: There is none, it is damaged, or it was trained for another task.
        """
        return voice_of(self.task, open_voice(self.generator) if self.generator else None)


def speakers(
    task: TaskSpec,
    names: Sequence[str],
    model: str | BaseChatModel | None,
    limits: CooperContext,
    generator: Path | None = None,
) -> dict[str, Speaker]:
    """Make systems by name.

    Args:
        task: The task.
        names: Names in `MAKERS`.
        model: The chat model of those that need one.
        limits: Has the deadline and the number of calls of each turn.
        generator: The folder of the fine-tuned generator; None: the one shipped for the task.

    Raises:
        DataError: A system is unknown, or needs a chat model and none is named; or no system uses
            the generator.
        ModelError: The chat model cannot be set up.
        VoiceError: There is no fine-tuned generator, or it cannot be loaded.
    """
    if generator and not WITH_VOICE.intersection(names):
        raise DataError(
            f"--generator is for the systems {', '.join(sorted(WITH_VOICE))}: name one of them"
        )
    for name in names:
        if name not in MAKERS:
            known = ", ".join([*MAKERS, FINETUNED_ANNOTATED])
            raise DataError(f"there is no system {name!r}: choose from {known}")
        if name in WITH_MODEL and model is None:
            raise DataError(f"the system {name!r} asks a chat model: name one with --model")
    chat = chat_model(model) if model and WITH_MODEL.intersection(names) else None
    settings = Settings(task, chat, limits, generator)
    return {name: MAKERS[name](name, settings) for name in names}


Say = Callable[[Sequence[Utterance], Mapping[str, Any]], Awaitable[str]]
"""What is said in a turn: the history, the graph's state after it -> the reply."""


async def _reply_of_graph(_: Sequence[Utterance], state: Mapping[str, Any]) -> str:
    return str(state["messages"][-1].text)


def _pipeline(
    name: str, settings: Settings, *, say: Say = _reply_of_graph, made_of: str = "", **options: Any
) -> Speaker:
    """The whole of COOPER as a conversation uses it; nothing of the data's labels enters."""
    task, model, limits, _ = settings
    graph = create_cooper(task, model=model, **options).compile()

    def begin() -> Talk:
        carried: dict[str, Any] = {}

        async def reply(history: Sequence[Utterance]) -> Reply:
            nonlocal carried
            history = greeted(history, task)
            given = {"messages": messages_of(history), **carried}
            state = await graph.ainvoke(given, context=limits)
            _raise_faults(task, state)
            kept = [*task.aspect_names, CARRIED]
            carried = {key: state[key] for key in kept if key in state}
            ranking = state.get("ranking") or [{}]
            return Reply(await say(history, state), ranking[0].get("aspect"))

        return reply

    made_of = f"{made_of} {pipeline_sha256(task)}"
    return Speaker(name, _identity(name, settings, made_of), begin)


def pipeline_sha256(task: TaskSpec) -> str:
    """Return a hash of the shipped models of a pipeline: ranker, answers, decisions, guard."""
    from langgraph_cooper.nodes.crisis import classifier
    from langgraph_cooper.nodes.offline import cross_encoder
    from langgraph_cooper.nodes.subjects import decider

    folder = shipped_checkpoint(task)
    files = [folder / name for name in (CONFIG, WEIGHTS, CALIBRATION)] if folder else []
    shipped = {
        cross_encoder.SHIPPED: bool(task.answers),
        decider.SHIPPED: any(subject.decision for subject in task.subjects),
        classifier.SHIPPED: bool(task.guard),
    }
    read = [folder for folder, does in shipped.items() if does]
    files += [folder / name for folder in read for name in (CONFIG, WEIGHTS)]
    return _sha256_of(files)


def relevance_sha256(task: TaskSpec) -> str:
    """Return a hash of the model that chooses among a generator's samples; "" if there is none."""
    from langgraph_cooper.nodes.finetuned import relevance

    folder = relevance.SHIPPED / task.name
    return _sha256_of([folder / name for name in (relevance.CONFIG, relevance.WEIGHTS)])


def _sha256_of(files: Sequence[Path]) -> str:
    """Return a hash of those files that are there; "" where none is."""
    hashes = [f"{file.name} {file_sha256(file)}" for file in files if file.is_file()]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest() if hashes else ""


GREETING = "Hello."
"""Stands for the user's first words where a dialogue of the data begins with the system."""
SILENT = "I'm listening."
"""Said without agents, and so without a bank, where no sample may be said."""
CHOICE = "scorer without a prepared sentence"  # tells its replies from those of another choice
NEVER = -1e9
"""Weight of that sentence beside a sample that may be."""


def _finetuned(name: str, settings: Settings) -> Speaker:
    """COOPER with the generator trained for the task (paper: FT-G)."""
    checkpoint = settings.voice
    loaded_voice(checkpoint)
    return _pipeline(
        name,
        settings._replace(model=None),
        made_of=f"{checkpoint.config.weights_sha256} {relevance_sha256(settings.task)}",
        generator=checkpoint.folder,
    )


def _finetuned_mbr(name: str, settings: Settings) -> Speaker:
    """The same generator; of its samples the most typical is said (minimum Bayes risk).

    Neither the application's scorer nor the bank takes part. Of the guard only the text in a
    certain crisis does.
    """
    task = settings.task
    typical, made_of = typical_reply(settings.voice)

    async def say(history: Sequence[Utterance], state: Mapping[str, Any]) -> str:
        if not state.get("ranking") or (state.get(CARRIED) or {}).get("fired"):
            return await _reply_of_graph(history, state)
        topics = distinct_topics(state["ranking"])[: settings.limits.k or task.k]
        states = {name: (state.get(name) or {}).get("state", "") for name in task.aspect_names}
        return await typical(given_of(history, states, topics))

    return _pipeline(name, settings._replace(model=None), say=say, made_of=made_of)


def alone(settings: Settings) -> tuple[Callable[[Sequence[Utterance]], Awaitable[str]], str]:
    """Return the fine-tuned generator without agents, and what tells its replies from others.

    It reads the history alone, where states and topics would stand: nothing was tracked, promoted
    or ranked. The application's scorer chooses among its samples and, where a question is left
    open, an honest "I don't know"; no guard takes part. The engine is loaded with the first draw.

    Raises:
        VoiceError: There is no fine-tuned generator.
    """
    from langgraph_cooper.nodes.finetuned.choice import DEFAULT, load_chooser
    from langgraph_cooper.nodes.finetuned.engine import Sampling
    from langgraph_cooper.ranker.model.encoder import load_encoder

    checkpoint, sampling = settings.voice, Sampling()
    chooser = cache(
        lambda: load_chooser(
            settings.task,
            lambda texts: load_encoder().encode(texts),
            weights=replace(DEFAULT, bank=NEVER),
        )
    )

    def draw(history: Sequence[Utterance]) -> str:
        turn, seed = Given(history, {}, []), seed_of(history)
        samples = drawn(
            seed, lambda: loaded_voice(checkpoint).sample([turn], sampling, seed=seed)[0]
        )
        found = [sample for sample in samples if sample]
        return chooser().choose(history, found, SILENT).text if found else SILENT

    async def reply(history: Sequence[Utterance]) -> str:
        return await asyncio.to_thread(draw, greeted(history, settings.task))

    weights = f"{checkpoint.config.weights_sha256} {relevance_sha256(settings.task)}"
    return reply, f"{weights} {sampling.model_dump_json()} {CHOICE}"


def _finetuned_alone(name: str, settings: Settings) -> Speaker:
    loaded_voice(settings.voice)
    say, made_of = alone(settings)

    async def reply(history: Sequence[Utterance]) -> Reply:
        return Reply(await say(history))

    identity_of = _identity(name, settings._replace(model=None), made_of)
    return Speaker(name, identity_of, lambda: reply, carries=False)


def greeted(history: Sequence[Utterance], task: TaskSpec) -> Sequence[Utterance]:
    """Return a history that begins: in this task with the user, which a data set's may not."""
    return history or ([Utterance("user", GREETING)] if task.opens == "user" else [])


def typical_reply(checkpoint: VoiceCheckpoint) -> tuple[Callable[[Given], Awaitable[str]], str]:
    """Return what says a generator's most typical sample, and what tells its replies from others.

    Raises:
        VoiceError: The generator cannot be loaded.
    """
    from langgraph_cooper.nodes.finetuned.engine import Sampling

    engine, sampling = loaded_voice(checkpoint), Sampling(samples=MBR_SAMPLES)

    async def reply(turn: Given) -> str:
        draw = partial(engine.sample, [turn], sampling, seed=seed_of(turn.history))
        samples = [sample for sample in (await asyncio.to_thread(draw))[0] if sample]
        return samples[most_typical(samples)] if samples else ""

    return reply, f"{checkpoint.config.weights_sha256} {sampling.model_dump_json()}"


def loaded_voice(checkpoint: VoiceCheckpoint) -> Engine:
    """Return a generator's engine.

    Systems load it before they are measured: in a conversation the bank speaks in the place of a
    generator that is not installed, which would then be measured as the generator's.

    Raises:
        VoiceError: The generator cannot be loaded.
    """
    from langgraph_cooper.nodes.finetuned.engine import load_engine

    return load_engine(checkpoint, notice=LOG.warning)


def _raise_faults(task: TaskSpec, state: Mapping[str, Any]) -> None:
    """End the measurement on a fault: a reply that stands in for a model's is not the system's."""
    reports = [state.get(name) or {} for name in task.aspect_names]
    for fault in [f for r in [*reports, state["cooper"]] for f in r.get("faults", [])]:
        raise ModelError(fault["message"], fault["kind"])


def _baseline(name: str, settings: Settings) -> Speaker:
    """One of the paper's prompt baselines, which asks the chat model alone."""
    task, model, limits, _ = settings
    assert model is not None
    step = llm_baseline(name, task, model, limits)

    async def reply(history: Sequence[Utterance]) -> Reply:
        said = await step.ainvoke([*history])
        return Reply(said.reply, said.aspect)

    asked = hashlib.sha256(shared_prompt(name).encode()).hexdigest()
    return Speaker(name, _identity(name, settings, asked), lambda: reply, carries=False)


def _identity(name: str, settings: Settings, made_of: str = "") -> str:
    kind, model, url = identity(settings.model) if settings.model else (None, "", "")
    task = hashlib.sha256(settings.task.model_dump_json().encode()).hexdigest()
    told = [name, kind and f"{kind.__module__}.{kind.__qualname__}", model, url, task]
    return json.dumps([*told, made_of] if made_of else told)


def messages_of(history: Sequence[Utterance]) -> list[BaseMessage]:
    """The history as a conversation's messages."""
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "system": AIMessage}
    return [kinds[said.speaker](content=said.text) for said in history]


MAKERS: Mapping[str, Callable[[str, Settings], Speaker]] = {
    BANK: lambda name, settings: _pipeline(name, settings._replace(model=None)),
    FINETUNED: _finetuned,
    FINETUNED_MBR: _finetuned_mbr,
    FINETUNED_ALONE: _finetuned_alone,
    PROMPTED: _pipeline,
    **dict.fromkeys(BASELINES, _baseline),
}
"""Name -> what makes the system."""

WITH_VOICE = frozenset({FINETUNED, FINETUNED_MBR, FINETUNED_ALONE, FINETUNED_ANNOTATED})
WITH_MODEL = frozenset({PROMPTED, *BASELINES})
