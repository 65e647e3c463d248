"""The conversation's state, as Studio shows it and as a checkpointer saves it.

It holds only plain values: every saver can save strings, numbers, lists and dictionaries.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AnyMessage
from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema

# The LangGraph server makes no JSON schema from `typing.TypedDict` on Python 3.11.
from typing_extensions import TypedDict

from langgraph_cooper.nodes.channels import DIALOGUE, LatestChannel, MessagesChannel
from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.prompts import CrisisKind, TaskSpec

MAX_TOPIC = 600
"""Characters of a topic that the state holds; as many as a task file allows."""

RANKING = "All topic candidates of the turn, best first; the first K guide the reply."
SHARE = "The share of its aspect: the softmax over the aspects of their best scores."
CALIBRATION = "What is added to its aspect's share in choosing the aspect that comes first."
LIFT = "By how much its score was raised to put it first, if it was."
PASSIVE_CANDIDATES = "Candidates outside the aspects: questions that the user asked, and goodbyes."

MAX_SUMMARY = 4_000
"""Characters of a state summary that the state holds: every later prompt has room for them."""


# Studio shows the docstrings of the fields: they go into the JSON schemas.
described = with_config(ConfigDict(use_attribute_docstrings=True))


@described
class Candidate(TypedDict):
    """A topic candidate C_ij: a brief outline of what the next utterance could say."""

    topic: str
    """The outline, on one line."""
    strategy: str
    """The dialogue strategy that it uses, one of the aspect's."""
    source: str
    """Who proposed it: "model" (an LLM), "bank" (the task's topics), "person" (edited)."""
    due: NotRequired[bool]
    """True if it answers what the user just did (a goodbye, say): it is ranked first."""


@described
class Target(TypedDict):
    """A typical target state of an aspect, and how strongly this conversation heads for it."""

    text: str
    """The target state, as text."""
    weight: float
    """The attention weight alpha_ij; over all target states of an aspect they sum to 1."""


@described
class Covered(TypedDict):
    """The messages that a state summary was made from."""

    messages: int
    """Their number, counted from the first message."""
    digest: str
    """Hash of their ids and texts; it shows an edit or a fork, after which the summary is void."""


@described
class Fault(TypedDict):
    """A fault of one step in a turn that went on."""

    step: str
    """The step: "guard", "tracker", "promoter", "progression", "coordinator" or "generator"."""
    kind: FaultKind
    """The kind of fault."""
    message: str
    """One sentence that names the fault and a remedy; never a key."""


@described
class AspectReport(TypedDict, total=False):
    """The result of a specialised agent's turn (paper, "Local Analysis")."""

    state: str
    """The state summary S_i."""
    candidates: list[Candidate]
    """The m topic candidates."""
    progress: float
    """How far the aspect has come, in [0, 1]: the share of training conversations that ended
    farther from their target state than this one is from its own."""
    targets: list[Target]
    """The nearest typical target states, heaviest first."""
    covers: Covered
    """The messages that the state summary was made from."""
    stale: bool
    """True if the tracker failed and the summary is that of an earlier turn."""
    faults: list[Fault]
    """The faults of this turn."""


SavedReport: Any = Annotated[AspectReport, LatestChannel()]
hidden: Any = SkipJsonSchema
"""Marks a key, as in `hidden[int]`, that a form for a turn's input does not show."""


class Explanation(TypedDict, total=False):
    """What calibrated coordination adds to a ranked candidate."""

    # Docstrings of inherited fields would not reach the JSON schema.
    share: Annotated[float, Field(description=SHARE)]
    calibration: Annotated[float, Field(description=CALIBRATION)]
    lift: Annotated[float, Field(description=LIFT)]


@described
class RankedCandidate(Explanation):
    """A topic candidate after global coordination."""

    rank: int
    """Its place, from 1."""
    score: float
    """The ranker's score; that of a due candidate, and of the first choice of calibrated
    coordination, is lifted above all others."""
    aspect: str
    """The aspect whose agent proposed it, or "passive"."""
    strategy: str
    """The dialogue strategy that it uses."""
    topic: str
    """The outline of what the next utterance could say."""
    source: str
    """Who proposed it: "model", "bank" or "person"."""
    due: NotRequired[bool]
    """True if it answers what the user just did: it is ranked first."""


class RankingChannel(LatestChannel):
    """The last ranking."""

    __slots__ = ()

    @property
    def UpdateType(self) -> Any:  # noqa: N802
        """The type as Studio shows it; LangGraph keeps only `list` of it."""
        return Annotated[list[RankedCandidate], Field(description=RANKING)]


@described
class TurnInfo(TypedDict):
    """The task and the round of a turn."""

    task: str
    """The name of the task that the conversation belongs to."""
    round: int
    """The dialogue round, from 1."""
    expected: NotRequired[dict[str, float]]
    """With calibrated coordination: P(aspect) of the next utterance, by what people do."""
    faults: NotRequired[list[Fault]]
    """The faults of this turn in the guard's second reader, the coordinator and the generator."""


def with_fault(turn: TurnInfo, fault: Fault) -> TurnInfo:
    """Return the turn with one more fault."""
    return {**turn, "faults": [*turn.get("faults", []), fault]}


@described
class GuardState(TypedDict, total=False):
    """What the safety guard knows of a conversation, and what a person decided."""

    tier: Literal["none", "concern", "certain"]
    """No crisis; perhaps one, and the reply begins with a question about safety; a crisis."""
    fired: bool
    """True if the tier is "certain": the guard answers, without agents or models, until the user
    says that they are safe or a person lifts it."""
    kind: CrisisKind
    """The kind of crisis, also of one that is settled."""
    pinned: str
    """One sentence on where help is, to be kept in view once there was a crisis or a concern."""
    round: int
    """The dialogue round in which the guard fired."""
    asked: int
    """Number of times that the present concern was asked about."""
    given: int
    """Number of help texts that were given in the present crisis."""
    quiet: int
    """Number of the user's next turns in which no faint concern is asked about."""
    faint: bool
    """Whether the present concern is faint: it is asked about once."""
    hinted: int
    """Number of the user's next turns in which a patient guard asks about a faint concern."""
    through: str
    """The id of the last message that was read, or after which a person lifted the guard."""
    digest: str
    """Hash of the user's words up to there; after an edit they are read again."""
    settled: dict[str, str]
    """Ids of the messages up to the last release, with hashes of the user's words in them: it
    counts even if its own message is removed."""
    reviewed: bool
    """True after a person's review."""
    awaits_review: bool
    """True if the turn ends in an interrupt for a person's decision."""


class CooperInput(TypedDict):
    """Input of a turn: messages, as in LangGraph's MessagesState."""

    messages: Annotated[list[AnyMessage], Field(description=DIALOGUE), MessagesChannel()]


def conversation_schema(task: TaskSpec) -> type[Any]:
    """Return the state schema of a task's conversations.

    Each agent writes a key of its own: no step writes one twice.

    Args:
        task: The task; each of its aspects becomes a key that holds an `AspectReport`.

    Returns:
        A TypedDict with `messages` (the dialogue alone), one report per aspect, `passive`
        (candidates outside the aspects), `ranking` (all candidates, best first), `cooper` (task
        and round) and, in a guarded task, `guard`.
    """
    fields: dict[str, Any] = {"messages": CooperInput.__annotations__["messages"]}
    fields |= {"cooper": TurnInfo}
    if task.guard:
        fields |= {"guard": GuardState}
    fields |= dict.fromkeys(task.aspect_names, SavedReport)
    fields |= {
        "passive": Annotated[list[Candidate], Field(description=PASSIVE_CANDIDATES)],
        "ranking": Annotated[list[RankedCandidate], Field(description=RANKING), RankingChannel()],
    }
    schema = _typed_dict("Conversation", fields)
    schema.__doc__ = f"The state of {task.title}: the reports of its agents and their ranking."
    return schema


def input_schema(task: TaskSpec) -> type[Any]:
    """Return the input schema of a run: the messages, and the reports if a parent graph has them.

    A parent graph that declares the aspects' names as keys of its own state keeps the agents'
    memory there, and rolls it back with a fork. A person gives messages: the JSON schema has
    nothing else.
    """
    fields: dict[str, Any] = {"messages": CooperInput.__annotations__["messages"]}
    fields |= dict.fromkeys(task.aspect_names, hidden[SavedReport])
    if task.guard:
        fields |= {"guard": hidden[GuardState]}
    schema = _typed_dict("CooperTurn", fields)
    schema.__doc__ = f"What a person says in {task.title}."
    return schema


def agent_schema(aspect: str) -> tuple[type[Any], type[Any]]:
    """Return an agent's state schema (messages and report) and its output schema (the report).

    A node of an agent writes the fields of the report that it changes. Without an output schema
    parallel agents would all write `messages` at once.
    """
    report = {aspect: Annotated[AspectReport, changed]}
    working = _typed_dict("Agent", {"messages": list[AnyMessage], **report})
    return working, _typed_dict("Report", report)


def changed(report: AspectReport, fields: AspectReport) -> AspectReport:
    """Return a report with some fields changed."""
    return {**report, **fields}


def _typed_dict(name: str, fields: dict[str, Any]) -> type[Any]:
    """Make a TypedDict with keys from a task; type checkers accept only literal keys."""
    functional: Any = TypedDict
    schema: type[Any] = functional(name, fields, total=False)
    return schema
