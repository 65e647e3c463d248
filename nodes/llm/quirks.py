"""The habits of servers that are not OpenAI's, and how each is asked plainly after a refusal.

Servers with OpenAI's protocol (vLLM, llama.cpp, Ollama, gateways) differ in what they take, and no
field of the protocol tells. So each request is first sent in full. `QUIRKS` is the one table of
what may be refused; what was learnt is kept for each model and endpoint as long as the process
lives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.nodes.llm.models import describe

# Statuses of a refused request. 500 is also a passing fault: alone it proves nothing.
REFUSALS = (400, 422, 500, 501)
UNSURE = 500
MAX_TOLD = 4_000  # characters of the server's message that are searched


@dataclass(frozen=True)
class Request:
    """A request in the making.

    Attributes:
        messages: The prompt.
        options: Arguments of the model's `invoke`.
    """

    messages: list[BaseMessage]
    options: dict[str, Any] = field(default_factory=dict)

    def without(self, *names: str) -> Request:
        """Return the request without these options."""
        return replace(self, options={k: v for k, v in self.options.items() if k not in names})


class Quirk(NamedTuple):
    """One row of the table.

    Attributes:
        says: Matches the message with which a server refuses.
        concerns: Whether a request has what is refused.
        plainly: Returns the request as the server takes it.
    """

    says: re.Pattern[str]
    concerns: Callable[[Request], bool]
    plainly: Callable[[Request], Request]


def _pattern(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


def _strict_roles(request: Request) -> bool:
    kinds = [type(message) for message in request.messages]
    return SystemMessage in kinds or any(one is other for one, other in pairwise(kinds))


def _alternating(request: Request) -> Request:
    """Put the instructions before the user's first words, and join neighbours of one side."""
    joined: list[BaseMessage] = []
    for message in request.messages:
        side = AIMessage if isinstance(message, AIMessage) else HumanMessage
        if joined and isinstance(joined[-1], side):
            joined[-1] = side(f"{joined[-1].text}\n\n{message.text}")
        else:
            joined.append(side(message.text))
    return replace(request, messages=joined)


PLAIN_TEXT = Quirk(
    _pattern("response_format", "json_schema", "json.(mode|object)", "structured", "gramma"),
    lambda request: "response_format" in request.options,
    lambda request: request.without("response_format"),
)
TWO_ROLES = Quirk(
    _pattern(r"\broles?\b", "developer", r"system.(message|prompt|instruction)"),
    _strict_roles,
    _alternating,
)
# The first row that matches the refusal and concerns the request is tried first.
QUIRKS = (PLAIN_TEXT, TWO_ROLES)


def refused(error: Exception, request: Request) -> tuple[Quirk | None, bool]:
    """Find out what a server refused.

    Returns:
        The quirk, or None if the request cannot be made plainer; and whether it is certain. A
        server that does not say what it minds is asked without structured output.
    """
    status = getattr(error, "status_code", None)
    if status not in REFUSALS:
        return None, False
    told = str(error)[:MAX_TOLD]
    for quirk in QUIRKS:
        if quirk.concerns(request) and quirk.says.search(told):
            return quirk, True
    return (PLAIN_TEXT if PLAIN_TEXT.concerns(request) else None), status != UNSURE


class Habits:
    """What was learnt of one model at one endpoint.

    Attributes:
        quirks: What it refuses.
        thinks: Whether its answers begin in a thought that was not opened.
    """

    def __init__(self) -> None:
        self.quirks: frozenset[Quirk] = frozenset()
        self.thinks = False
        self._suspected: frozenset[Quirk] = frozenset()

    def learn(self, quirks: Iterable[Quirk], *, certain: bool) -> None:
        """Remember what the server refused before it answered the plainer request.

        What may have been a passing fault is believed the second time.
        """
        found = frozenset(quirks)
        self.quirks |= found if certain else found & self._suspected
        self._suspected |= found


_known: dict[str, Habits] = {}


def habits_of(model: BaseChatModel) -> Habits:
    """Return what this process knows of a model at its endpoint."""
    return _known.setdefault(describe(model), Habits())


def forget() -> None:
    """Forget all that was learnt."""
    _known.clear()


def shaped(request: Request, quirks: Iterable[Quirk]) -> Request:
    """Return the request in the form that a server with these quirks takes."""
    for quirk in quirks:
        request = quirk.plainly(request)
    return request
