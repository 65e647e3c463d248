"""The whole graph: specialised agents in parallel, a coordinator, a generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from langgraph_cooper.graph.agent import agent_node
from langgraph_cooper.nodes.allowed import Allowed
from langgraph_cooper.nodes.context import CooperContext, current_context
from langgraph_cooper.nodes.coordinator import coordinator_node
from langgraph_cooper.nodes.crisis.reading import check_encoder
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, open_voice
from langgraph_cooper.nodes.generator import generator_node, speaking
from langgraph_cooper.nodes.guard import after_guard, guard_node, review_node
from langgraph_cooper.nodes.intake import intake_node
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.crisis import llm_crisis_reader
from langgraph_cooper.nodes.llm.models import bare_name
from langgraph_cooper.nodes.node import Node
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.reply_guard import Drafted, drafting, reply_guard_node
from langgraph_cooper.nodes.resources import FINETUNED, OFFLINE, Resources, voice_of
from langgraph_cooper.nodes.second_reader import SecondReader
from langgraph_cooper.nodes.state import CooperInput, conversation_schema, input_schema
from langgraph_cooper.prompts import PASSIVE, TaskError, TaskSpec, load_task
from langgraph_cooper.prompts.errors import a_kind

if TYPE_CHECKING:
    from langgraph_cooper.ranker.api import Ranker

_resources: WeakKeyDictionary[StateGraph[Any, Any, Any, Any], Resources] = WeakKeyDictionary()

RANKER_PARTS = ("embed", "progression", "score")


def create_cooper(  # noqa: PLR0913 (a factory's choices, each named)
    task: str | Path | TaskSpec = "esc",
    *,
    model: str | BaseChatModel | None = None,
    generator_model: str | BaseChatModel | None = None,
    generator: str | Path | BaseChatModel | None = None,
    guard_model: str | BaseChatModel | None = None,
    ranker: str | Path | Ranker | None = None,
    encoder: str | None = None,
    allowed: Allowed | None = None,
) -> StateGraph[Any, CooperContext, Any, Any]:
    """Create a COOPER graph for a dialogue task.

    Args:
        task: A shipped task ("esc", "persuasion"), the path of a task file or folder, or a
            `TaskSpec`.
        model: The chat model that tracks, promotes and speaks: a name for an OpenAI-compatible
            endpoint, or any LangChain chat model. If omitted, the offline backend does all three.
        generator_model: Another chat model (or "offline") for the generator alone. If omitted,
            the generator uses `model`.
        generator: What speaks: "bank" (prepared sentences), "finetuned" (the generator trained for
            the task, which needs the extra `voice`), the folder of one that you trained, or a chat
            model as in `generator_model`, in whose place it stands. If omitted, `model`'s.
        guard_model: In a task with a guard, a chat model that reads each message, too, unless the
            guard's classifier is certain. If omitted, the classifier decides alone.
        ranker: A checkpoint's folder or its name on the hub, or a `Ranker`. If omitted, the
            checkpoint shipped for the task; a task without one gets `UntrainedRanker`.
        encoder: The sentence encoder of the states: any sentence-transformers model. If omitted,
            the one that the checkpoint was trained with.
        allowed: The models, goals and budgets that a run's `context` may name, where the runs are
            not your own. If omitted, any.

    Returns:
        An uncompiled graph. Compile it with a checkpointer to keep conversations:
        `create_cooper("esc").compile(checkpointer=InMemorySaver())`. Each run adds the next
        utterance to `messages`. `CooperContext` holds the options of a run.

    Raises:
        TaskError: The task is unknown or its file is malformed.
        ModelError: A model's name is empty, or a model is neither a name nor a chat model.
        EncoderError: The environment names an encoder for the guard that is not there.
        VoiceError: There is no fine-tuned generator for the task, or it is damaged.
        CheckpointError: The checkpoint is missing or made for other aspects. Its weights and its
            encoder are loaded in the first run, which raises this error (or `EncoderError`) if
            they are damaged, missing or do not fit.
    """
    if not isinstance(task, str | Path | TaskSpec):
        raise TaskError(
            f"task is {a_kind(task)}: pass a shipped task's name, the path of a task file "
            "or folder, or a TaskSpec"
        )
    spec = load_task(task)
    speaker, voice = _speaker(spec, generator_model, generator)
    if spec.guard:
        check_encoder()
    _check_models(spec, model=model, generator_model=speaker, guard_model=guard_model)
    allowed = allowed or Allowed()
    loader = _ranker_loader(spec, ranker, encoder)
    second = _second_reader(spec, guard_model)
    resources = Resources(spec, model, speaker, loader, voice, allowed, second)
    graph = StateGraph(
        conversation_schema(spec),
        context_schema=allowed.schema(spec),
        input_schema=input_schema(spec),
    )
    _resources[graph] = resources
    check = None if spec.guard else resources.check
    graph.add_node("intake", intake_node(spec, allowed, check))
    graph.add_edge(START, "intake")
    graph.add_node("coordinator", coordinator_node(resources))
    for aspect in spec.aspects:
        graph.add_node(aspect.name, agent_node(aspect, resources))
    graph.add_node(PASSIVE, passive_node(resources), input_schema=CooperInput)
    branches = [*spec.aspect_names, PASSIVE]
    for name in branches:
        # One edge each: an edge from a list of sources would wait forever for a missing branch.
        graph.add_edge(name, "coordinator")
    graph.add_edge("coordinator", "generator")
    node = generator_node(resources)
    if spec.guard:
        _add_guard(graph, spec, branches, drafting(node, spec, resources), resources)
        return graph
    graph.add_node("generator", speaking(node))
    for name in branches:
        graph.add_edge("intake", name)
    graph.add_edge("generator", END)
    return graph


def resources_of(graph: StateGraph[Any, Any, Any, Any]) -> Resources | None:
    """Return the resources of a graph of `create_cooper`; None for any other graph."""
    return _resources.get(graph)


def _add_guard(
    graph: StateGraph[Any, CooperContext, Any, Any],
    task: TaskSpec,
    branches: Sequence[str],
    generator: Node,
    resources: Resources,
) -> None:
    """Add the guard before the branches, a person's review, and the guard of the reply."""
    targets = {"on": list(branches), "review": ["review"], "end": [END]}

    def onwards(update: dict[str, Any]) -> Command[Any]:
        # A mistake that all agents would meet ends the turn here. A concern is saved before it.
        if update["guard"].get("tier", "none") == "none":
            resources.check(current_context())
        # One write: a turn that is cut between the update and an edge's would never go on.
        return Command(update=update, goto=targets[after_guard(update)])

    graph.add_node(
        "guard",
        guard_node(task, second=resources.second) | RunnableLambda(onwards),
        destinations=(*branches, "review", END),
    )
    graph.add_node("review", review_node())
    graph.add_node("generator", generator)
    graph.add_node("reply_guard", reply_guard_node(task), input_schema=Drafted)
    graph.add_edge("intake", "guard")
    graph.add_edge("review", END)
    graph.add_edge("generator", "reply_guard")
    graph.add_edge("reply_guard", END)


def _second_reader(task: TaskSpec, model: str | BaseChatModel | None) -> SecondReader | None:
    """Return the guard's second reader; its model is set up when it first reads."""
    if model in (None, OFFLINE):
        return None
    return SecondReader(lambda: llm_crisis_reader(task, chat_model(model)))


def _check_models(
    task: TaskSpec, *, model: str | BaseChatModel | None, **others: str | BaseChatModel | None
) -> None:
    """Refuse unusable models now, not in the middle of a run."""
    for name, given in {"model": model, **others}.items():
        if isinstance(given, str) and not given.strip():
            raise ModelError(f'{name} is empty: name a model, or "{OFFLINE}" for the built-in one')
        if isinstance(given, str):
            bare_name(given)
        if given is not None and not isinstance(given, str | BaseChatModel):
            raise ModelError(
                f"{name} is {a_kind(given)}: pass a model's name or a LangChain chat model"
            )
    if others.get("guard_model") is not None and not task.guard:
        raise ModelError(
            f"the task {task.name!r} has no guard: leave guard_model out, or add guard = true to "
            "the task"
        )
    if model in (None, OFFLINE):
        for aspect in task.aspects:
            if all(topic.open_question for topic in aspect.topics):
                raise TaskError(
                    f"the task {task.name!r} cannot run offline: its aspect {aspect.name!r} has no "
                    "topics; add [[aspects.topics]], or name a model"
                )


def _speaker(
    task: TaskSpec,
    generator_model: str | BaseChatModel | None,
    generator: str | Path | BaseChatModel | None,
) -> tuple[str | BaseChatModel | None, VoiceCheckpoint | None]:
    """Return the generator's model or name, and the checkpoint of a fine-tuned one."""
    if generator is None:
        return generator_model, None
    if generator_model is not None:
        raise ModelError("generator and generator_model are both given: name one of them")
    if generator == FINETUNED:
        return FINETUNED, voice_of(task)
    if isinstance(generator, Path) or (isinstance(generator, str) and _is_folder(generator)):
        return FINETUNED, voice_of(task, open_voice(_expanded(generator)))
    return generator, None


def _expanded(name: str | Path) -> Path:
    """Return a path without "~"; an unknown user's home is left for whoever opens it to miss."""
    with suppress(RuntimeError):
        return Path(name).expanduser()
    return Path(name)


def _is_folder(name: str) -> bool:
    """Return whether a generator's name means a folder: a model may be called "org/name"."""
    return name.startswith((".", "/", "~")) or Path(name).is_dir()


def _ranker_loader(
    task: TaskSpec, ranker: str | Path | Ranker | None, encoder: str | None
) -> Callable[[], Ranker]:
    """Check the ranker as far as possible without torch; it is loaded in the first run."""
    from langgraph_cooper.ranker.load import ranker_loader
    from langgraph_cooper.ranker.model.checkpoint import CheckpointError

    if ranker is not None and not isinstance(ranker, str | Path):
        missing = [part for part in RANKER_PARTS if not hasattr(ranker, part)]
        if missing or encoder:
            why = f"it has no {missing[0]}" if missing else "it brings its own encoder"
            raise CheckpointError(
                f"{a_kind(ranker)} cannot be used as a ranker here ({why}): pass a "
                "checkpoint's folder, or a Ranker without an encoder"
            )
        return lambda: ranker
    return ranker_loader(task, ranker, encoder)
