"""The systems that hold conversations: pipelines through `Turns`, baselines, programs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.graph.evaluation.interactive.command import (
    check_program,
    line_program,
    words_of,
)
from langgraph_cooper.graph.evaluation.interactive.recording import (
    ENDPOINT,
    ModelAt,
    without_credentials,
)
from langgraph_cooper.graph.evaluation.interactive.states import state_digest, why_of
from langgraph_cooper.graph.evaluation.speakers import (
    BANK,
    FINETUNED,
    FINETUNED_ALONE,
    FINETUNED_MBR,
    MAKERS,
    PROMPTED,
    WITH_MODEL,
    WITH_VOICE,
    Settings,
    alone,
    loaded_voice,
    messages_of,
    pipeline_sha256,
    relevance_sha256,
)
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.baselines import llm_baseline
from langgraph_cooper.nodes.llm.call import Question, ask
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Utterance

COMMAND = "command:"
NAMED = re.compile(r"([\w.-]{1,40})=(.+)", re.DOTALL)
PIPELINES = (BANK, FINETUNED, PROMPTED)
TALKING = tuple(name for name in MAKERS if name != FINETUNED_MBR)  # that one is for one table
YOU_BEGIN = "(The conversation begins; you speak first.)"
"""Stands for the user's words where an endpoint or a program speaks first."""


@dataclass(frozen=True)
class Answer:
    """What a system said, and why, as plain values."""

    text: str
    why: dict[str, Any] = field(default_factory=dict)


class Talk(Protocol):
    """A conversation of a system."""

    async def answer(self, history: Sequence[Utterance]) -> Answer:
        """Answer the last utterance; of an empty history: speak first.

        Raises:
            ModelError: A model or a program fails.
        """


@dataclass(frozen=True)
class System:
    """A system that holds conversations.

    Attributes:
        name: Its name in the file.
        spec: What it was named by: "bank", "endpoint:URL#MODEL", "command:PROGRAM"; an address is
            without its name and password.
        identity: Tells it from others under the same name.
        calls: Calls of a chat model in a turn without faults.
        begin: Begins a conversation in a thread, as a context.
    """

    name: str
    spec: str
    identity: str
    calls: int
    begin: Callable[[str], AbstractAsyncContextManager[Talk]]


class Model(NamedTuple):
    """A chat model and how a record names it."""

    chat: BaseChatModel
    at: ModelAt


def named_specs(given: Sequence[str]) -> dict[str, str]:
    """Read `--systems`: names by commas, and `NAME=SPEC` for endpoints and programs.

    Raises:
        DataError: There is none, one is unknown, or two have the same name.
    """
    found: dict[str, str] = {}
    for each in [part for one in given for part in _parts(one)]:
        named = NAMED.fullmatch(each)
        name, spec = (named[1], named[2]) if named else (_kept(each), each)
        _check_spec(spec)
        if name in found:
            raise DataError(f"two systems are named {name!r}: write NAME=SYSTEM for one of them")
        found[name] = spec
    if not found:
        raise DataError(f"there is no system: name some of {', '.join(TALKING)} with --systems")
    return found


def _parts(given: str) -> list[str]:
    """Split names by commas; an address or a program may have commas of its own."""
    if ENDPOINT in given or COMMAND in given:
        return [given]
    return [part.strip() for part in given.split(",") if part.strip()]


def _kept(spec: str) -> str:
    """Return a spec as a file keeps it: an endpoint's address without its name and password."""
    return without_credentials(spec) if spec.startswith(ENDPOINT) else spec


def base_of(spec: str) -> str:
    """Return a system's spec without the choices of its runs."""
    return spec if spec.startswith((COMMAND, ENDPOINT)) else spec.partition("?")[0]


def _chosen(spec: str, limits: CooperContext) -> CooperContext:
    """Return the context of a pipeline's runs: `bank?k=1&coordination=off` has choices of its own.

    Raises:
        InputError: A choice is unknown or out of its range.
        DataError: It chooses a model, which `--model` and the system's name do.
    """
    choices = dict(parse_qsl(spec.partition("?")[2], keep_blank_values=True))
    if named := sorted({"model", "generator", "generator_model"} & set(choices)):
        raise DataError(f"the system {spec!r} cannot choose its {named[0]}: name another system")
    return CooperContext.model_validate(limits.model_dump(exclude_unset=True) | choices)


def _check_spec(spec: str) -> None:
    if spec.startswith(COMMAND):
        words_of(spec.removeprefix(COMMAND))
        return
    base = base_of(spec)
    if "?" in spec and base in TALKING and base not in PIPELINES:
        raise DataError(f"the system {base!r} has no choices: only {', '.join(PIPELINES)} do")
    if not spec.startswith(ENDPOINT) and base not in TALKING:
        raise DataError(f"there is no system {without_credentials(spec)!r}: {_remedy(spec)}")


def _remedy(spec: str) -> str:
    """Say how a system could be named that is none."""
    if ENDPOINT in spec or COMMAND in spec:  # whose commas are their own
        return (
            "give every endpoint and every program a --systems of its own; the option may be "
            "repeated"
        )
    return f"choose from {', '.join([*TALKING, 'endpoint:URL#MODEL', 'command:PROGRAM'])}"


def needs_model(spec: str) -> bool:
    """Return whether a system asks the chat model of `--model`."""
    return base_of(spec) in WITH_MODEL


def make_system(
    name: str, spec: str, task: TaskSpec, model: Model | None, limits: CooperContext
) -> System:
    """Make a system.

    Args:
        name: Its name in the file.
        spec: What it is. The system keeps it without an address's name and password.
        task: The task.
        model: The chat model of a baseline, of "prompted" or of an endpoint.
        limits: Has the deadline and the number of calls of each turn.

    Raises:
        DataError: It needs a chat model and has none.
        InputError: A choice of its runs is unknown or out of its range.
        VoiceError: There is no fine-tuned generator.
    """
    if (needs_model(spec) or spec.startswith(ENDPOINT)) and model is None:
        raise DataError(f"the system {name!r} asks a chat model: name one with --model")
    asked, spec = model.at.identity if model else "", _kept(spec)
    if (base := base_of(spec)) in PIPELINES:
        used = model if base == PROMPTED else None
        calls = 2 * len(task.aspects) + 1 if used else 0
        begin = _pipeline(base, task, used, _chosen(spec, limits))
        made_of = _weights(base, task, limits)
        told = f"{spec} {made_of} {asked}" if used else f"{spec} {made_of}"
        return System(name, spec, told, calls, begin)
    if spec.startswith(COMMAND):
        command = spec.removeprefix(COMMAND)
        return System(name, spec, spec, 0, _program(command, limits))
    if spec == FINETUNED_ALONE:
        say, made_of = alone(Settings(task, None, limits))
        return System(name, spec, f"{spec} {made_of}", 0, _unguided(say))
    assert model is not None
    begin = _endpoint(task, model, limits) if spec.startswith(ENDPOINT) else _baseline(
        spec, task, model, limits
    )  # fmt: skip
    return System(name, spec, f"{spec} {asked}", 1, begin)


def _weights(base: str, task: TaskSpec, limits: CooperContext) -> str:
    """Return one hash of all weights that decide what a pipeline says.

    Raises:
        VoiceError: There is no fine-tuned generator.
    """
    found = [pipeline_sha256(task)]
    if base == FINETUNED:
        voice = Settings(task, None, limits).voice
        found += [voice.config.weights_sha256, relevance_sha256(task)]
    return hashlib.sha256(" ".join(found).encode()).hexdigest()


def _pipeline(
    spec: str, task: TaskSpec, model: Model | None, limits: CooperContext
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    """Hold conversations as an application would: `Turns`, one thread each."""
    options: dict[str, Any] = {"generator": FINETUNED} if spec == FINETUNED else {}
    graph = create_cooper(task, model=model.chat if model else None, **options)

    @asynccontextmanager
    async def begin(thread: str) -> AsyncIterator[Talk]:
        turns = Turns(graph.compile(checkpointer=InMemorySaver()))
        yield _Pipeline(task, turns, thread, limits)

    return begin


@dataclass(frozen=True)
class _Pipeline:
    task: TaskSpec
    turns: Turns
    thread: str
    limits: CooperContext

    async def answer(self, history: Sequence[Utterance]) -> Answer:
        # Ids of the caller's own: a random one would make the state another each time.
        said = HumanMessage(history[-1].text, id=f"user-{len(history)}") if history else None
        reply = await self.turns.asend(self.thread, said, context=self.limits)
        why = why_of(self.task, reply.state)
        for found in why.pop("faults"):
            # Another voice stands in for the system's: what it says is not the system's.
            raise ModelError(found["message"], found["kind"])
        return Answer(reply.text, {**why, "state": state_digest(reply.state)})


def _baseline(
    spec: str, task: TaskSpec, model: Model, limits: CooperContext
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    """Hold conversations as one of the paper's prompt baselines."""
    step = llm_baseline(spec, task, model.chat, limits)

    async def answer(history: Sequence[Utterance]) -> Answer:
        said = await step.ainvoke([*history])
        return Answer(said.reply, {"aspect": said.aspect} if said.aspect else {})

    return _stateless(answer)


def _unguided(
    say: Callable[[Sequence[Utterance]], Awaitable[str]],
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    """Hold conversations as the fine-tuned generator without agents."""

    async def answer(history: Sequence[Utterance]) -> Answer:
        return Answer(await say(history))

    return _stateless(answer)


def _endpoint(
    task: TaskSpec, model: Model, limits: CooperContext
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    """Hold conversations as what stands behind an endpoint: it gets the dialogue and no prompt."""

    def prompt(history: Sequence[Utterance]) -> list[BaseMessage]:
        messages = messages_of(history)
        opened = messages and isinstance(messages[0], HumanMessage)
        return messages if opened else [HumanMessage(YOU_BEGIN), *messages]

    def read(_: Sequence[Utterance], answer: AIMessage) -> str:
        return strip_thoughts(answer.text).strip()

    question: Question[Sequence[Utterance], str] = Question(
        "generator", task.aspect_names, model.chat, model.chat, prompt, read
    )
    step = ask(replace(question, outside=limits))

    async def answer(history: Sequence[Utterance]) -> Answer:
        return Answer(await step.ainvoke([*history]))

    return _stateless(answer)


def _stateless(
    answer: Callable[[Sequence[Utterance]], Any],
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    @dataclass(frozen=True)
    class Stateless:
        async def answer(self, history: Sequence[Utterance]) -> Answer:
            found: Answer = await answer(history)
            return found

    @asynccontextmanager
    async def begin(_: str) -> AsyncIterator[Talk]:
        yield Stateless()

    return begin


def _program(
    command: str, limits: CooperContext
) -> Callable[[str], AbstractAsyncContextManager[Talk]]:
    @asynccontextmanager
    async def begin(_: str) -> AsyncIterator[Talk]:
        async with line_program(command, limits.deadline) as program:

            @dataclass(frozen=True)
            class Program:
                async def answer(self, history: Sequence[Utterance]) -> Answer:
                    return Answer(await program.answer(history[-1].text if history else ""))

            yield Program()

    return begin


def check_speakers(specs: Iterable[str], task: TaskSpec) -> None:
    """Look for programs, and load the fine-tuned generator if a system speaks with it.

    What is missing is then said before the first conversation, which may cost money. In a
    conversation the bank speaks in the place of a generator that is not installed. A replay needs
    none: it has what was drawn.

    Raises:
        DataError: There is no such program.
        VoiceError: The generator cannot be loaded.
    """
    specs = [*specs]
    for spec in specs:
        if spec.startswith(COMMAND):
            check_program(spec.removeprefix(COMMAND))
    if WITH_VOICE.intersection(map(base_of, specs)):
        loaded_voice(Settings(task, None, CooperContext()).voice)


def record_of_models(models: Mapping[str, Model]) -> dict[str, Any]:
    """Return how a record names the models of systems."""
    return {name: model.at.model_dump() for name, model in models.items()}
