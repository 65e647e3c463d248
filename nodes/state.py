"""The conversation's state, as a person reads it in Studio and as a checkpointer keeps it.

Only plain values stand in it: strings, numbers, lists and dictionaries survive every saver.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

# The LangGraph server makes no JSON schema from `typing.TypedDict` on Python 3.11.
from typing_extensions import TypedDict

from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.prompts import CrisisKind, TaskSpec


class Candidate(TypedDict):
    """A topic candidate C_ij: a brief outline of what the next utterance could say."""

    topic: str
    strategy: str
    source: str
    """Who proposed it: "model" (an LLM), "bank" (the task's own topics)."""
    due: NotRequired[bool]
    """It answers what the user just did (a goodbye, say) and so comes before all others."""


class Target(TypedDict):
    """A typical target state of an aspect, and how much this conversation heads for it."""

    text: str
    weight: float
    """The attention weight alpha_ij; the weights of all an aspect's target states sum to 1."""


class Covered(TypedDict):
    """The beginning of the messages that a state summary was made from."""

    messages: int
    """How many they are."""
    digest: str
    """Of their ids and texts: after an edit or a fork the summary no longer holds."""


class Fault(TypedDict):
    """What went wrong in a step of a turn that went on without it."""

    step: str
    """Which step: "tracker", "promoter", "progression", "coordinator" or "generator"."""
    kind: FaultKind
    message: str
    """One sentence for the person who can mend it; never a key."""


class AspectReport(TypedDict, total=False):
    """What a specialised agent knows after its turn (paper, "Local Analysis")."""

    state: str
    """The state summary S_i: how things stand with this aspect."""
    candidates: list[Candidate]
    """The m topic candidates that would promote the aspect."""
    progress: float
    """How far the aspect has come, in [0, 1]: how near its state is to the target state that it
    heads for, as the share of training conversations that ended farther from theirs."""
    targets: list[Target]
    """The nearest typical target states, heaviest first."""
    signal: str
    """The progression signal p = [v; s], float16 in base64 (`decode_signal` gives the array)."""
    covers: Covered
    """Which messages the state summary holds for."""
    stale: bool
    """True where the summary is that of an earlier turn, because the tracker failed in this one."""
    faults: list[Fault]
    """What failed in this turn, for which something stands in; empty in a turn without faults."""


class RankedCandidate(TypedDict):
    """A topic candidate after global coordination: its place, and why it has that place."""

    rank: int
    score: float
    """The ranker's; a candidate that is due is lifted above the best of the others."""
    aspect: str
    strategy: str
    topic: str
    source: str
    due: NotRequired[bool]


class TurnInfo(TypedDict):
    """Which task a conversation belongs to, and its dialogue round, from 1."""

    task: str
    round: int
    faults: NotRequired[list[Fault]]
    """What failed in this turn outside the agents: in the coordinator or the generator."""


def with_fault(turn: TurnInfo, fault: Fault) -> TurnInfo:
    """The turn with one more fault noted."""
    return {**turn, "faults": [*turn.get("faults", []), fault]}


class GuardState(TypedDict, total=False):
    """Whether the safety guard has taken a conversation over, and what a person decided."""

    fired: bool
    """The guard answers; no agent and no language model is asked until a person lifts it."""
    kind: CrisisKind
    """What the user spoke of: the gravest, where there were several."""
    round: int
    """The dialogue round in which it fired."""
    reviewed: bool
    """A person has looked at it."""
    awaits_review: bool
    """The turn ends in an interrupt, for a person's decision."""
    released: str
    """The id of the last message before a person lifted the guard; what stands before it is not
    read again."""


class CooperInput(TypedDict):
    """What a turn takes: messages, as in LangGraph's MessagesState."""

    messages: Annotated[list[AnyMessage], add_messages]


def conversation_schema(task: TaskSpec) -> type[Any]:
    """The state of a conversation of this task: one key per agent, so that no reducer is needed.

    Args:
        task: The task; each of its aspects becomes a key that holds an `AspectReport`.

    Returns:
        A TypedDict with `messages` (only what the two people said), one report per aspect,
        `passive` (candidates outside the aspects), `ranking` (all candidates, best first),
        `cooper` (whose conversation this is, and its round) and, in a guarded task, `guard`.
    """
    fields: dict[str, Any] = {"messages": CooperInput.__annotations__["messages"]}
    fields |= {"cooper": TurnInfo}
    if task.guard:
        fields |= {"guard": GuardState}
    fields |= dict.fromkeys(task.aspect_names, AspectReport)
    fields |= {"passive": list[Candidate], "ranking": list[RankedCandidate]}
    schema = _typed_dict("Conversation", fields)
    schema.__doc__ = f"The state of {task.title}: the reports of its agents and their ranking."
    return schema


def input_schema(task: TaskSpec) -> type[Any]:
    """What a run takes: messages; and the agents' reports, if a parent graph keeps them.

    A parent graph that declares the aspects' names as keys of its own state so keeps the agents'
    memory, and rolls it back with a fork.
    """
    fields: dict[str, Any] = {"messages": CooperInput.__annotations__["messages"]}
    fields |= dict.fromkeys(task.aspect_names, AspectReport)
    if task.guard:
        fields |= {"guard": GuardState}
    schema = _typed_dict("CooperTurn", fields)
    schema.__doc__ = "The messages; the reports and the guard only come in from a parent graph."
    return schema


def agent_schema(aspect: str) -> tuple[type[Any], type[Any]]:
    """An agent's own state and what it hands back: it reads the messages, it writes its report.

    Without an output schema of its own, parallel agents would all write `messages` at once.
    """
    messages = CooperInput.__annotations__["messages"]
    working = _typed_dict("Agent", {"messages": messages, aspect: AspectReport})
    return working, _typed_dict("Report", {aspect: AspectReport})


def _typed_dict(name: str, fields: dict[str, Any]) -> type[Any]:
    """A TypedDict whose keys are known only when the task is; checkers want them literal."""
    functional: Any = TypedDict
    schema: type[Any] = functional(name, fields, total=False)
    return schema
