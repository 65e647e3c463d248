"""The bodies of requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from langgraph_cooper.nodes.events import sound
from langgraph_cooper.nodes.language.history import clean


def _writable(text: str) -> str:
    """Return the text without what no database can store."""
    return sound(text).replace("\0", "")


Text = Annotated[str, AfterValidator(_writable)]
# The length comes first: of what is not seen nothing is left, which no JSON schema can tell.
Seen = AfterValidator(lambda text: clean(_writable(text)))

MESSAGE_ID, TURN_ID, CHECKPOINT_ID = r"^[!-~]{1,200}$", "^[0-9a-f]{12}$", "^[0-9a-f-]+$"
EVENT_NUMBER = r"^[0-9]{0,15}$"
MAX_TOPIC = 300
FORMS = {
    MESSAGE_ID: "give 1 to 200 visible ASCII characters, without spaces",
    TURN_ID: "give the id of a turn as the server told it",
    CHECKPOINT_ID: "give the id of a checkpoint as the server told it",
    EVENT_NUMBER: "give the number of an event",
}
"""What an error says in place of a pattern."""


class Body(BaseModel):
    """A request's body. Unknown fields are refused: they are mistakes."""

    model_config = ConfigDict(extra="forbid")


class NewThread(Body):
    """Begins a conversation."""

    task: str | None = Field(
        default=None, max_length=100, description="One of the server's tasks; none: its first."
    )


class NewTurn(Body):
    """A message to a thread."""

    # Required: who forgets it must not read the last reply as the answer.
    message: Annotated[Text, Field(min_length=1, max_length=40_000)] | None = Field(
        description="The user's words. Null: nothing new is said. A turn that was cut is finished, "
        "an unanswered message answered, or the system opens where its task says so.",
    )
    message_id: str | None = Field(
        default=None,
        pattern=MESSAGE_ID,
        description="An id of your own. A message that is sent again with it is answered once.",
    )


class Topic(Body):
    """A topic in place of the ranking's first. A text alone is its `topic`."""

    topic: Annotated[str, Field(min_length=1, max_length=MAX_TOPIC), Seen]
    strategy: Annotated[str, Field(min_length=1, max_length=100), Seen] | None = None
    aspect: str | None = Field(default=None, max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"topic": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": MAX_TOPIC}
        return {"anyOf": [handler(schema), text]}


class Fork(Body):
    """Where a fork begins."""

    turn: str | None = Field(
        default=None,
        pattern=TURN_ID,
        description="The last turn that the fork contains; none: the thread's last.",
    )
    checkpoint: str | None = Field(
        default=None, max_length=100, pattern=CHECKPOINT_ID, description="Instead of a turn."
    )
    topic: Topic | None = Field(
        default=None,
        description="Forks before the reply of that turn, with this topic as the first choice: its "
        "words, or an object with `topic`, `strategy` and `aspect`. The fork's next turn, with no "
        "message, writes a new reply.",
    )


class ThreadSummary(BaseModel):
    """A thread."""

    id: str
    task: str
    created: float = Field(description="Seconds since 1970.")
    used: float
    parent: str | None = Field(default=None, description="The thread that it was forked from.")


class Spoken(BaseModel):
    """A message of a thread."""

    id: str | None
    role: Literal["user", "assistant"]
    text: str
    turn: str | None = Field(default=None, description="The turn that it began or answered.")


class Aspect(BaseModel):
    """The last report of an agent."""

    state: str
    progress: float


class Choice(BaseModel):
    """A topic candidate of the last ranking."""

    rank: int
    score: float
    aspect: str
    strategy: str
    topic: str


class TurnSummary(BaseModel):
    """A turn of a thread."""

    id: str
    status: Literal["running", "completed", "interrupted", "stopped", "failed"]
    began: float
    checkpoint: str | None = Field(default=None, description="The state after it, for forks.")


class ThreadState(ThreadSummary):
    """A thread with its conversation and a summary of its state."""

    messages: list[Spoken]
    unfinished: bool = Field(description="Whether the next turn first finishes one that was cut.")
    aspects: dict[str, Aspect]
    ranking: list[Choice] = Field(description="The first ten of the last ranking.")
    guard: dict[str, Any] = Field(description="The safety guard's tier, and help to keep in view.")
    turns: list[TurnSummary]


class Threads(BaseModel):
    """A page of threads."""

    threads: list[ThreadSummary]


class TurnAnswer(BaseModel):
    """The answer to a message, as a whole."""

    thread: str
    turn: str
    status: Literal["completed", "interrupted", "stopped"]
    reply: str | None
    message_id: str | None = Field(default=None, description="The reply's message id.")
    by: str | None = Field(default=None, description="As in the reply event.")
    repeated: bool = False
    pinned: str | None = Field(default=None, description="Where help is, to be kept in view.")


class Stopped(BaseModel):
    """What a stop did. The turn's `done` event tells when it has ended."""

    thread: str
    turn: str
    stopped: bool = Field(description="Whether the turn was running. False: it had ended before.")


class Health(BaseModel):
    """The state of the server."""

    status: str
    version: str
