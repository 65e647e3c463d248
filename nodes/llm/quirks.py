"""The quirks of servers that are not OpenAI's, and a plainer request for each.

Servers support different subsets of the protocol and do not advertise them. Send each request in
full first. Cache refusals per model and endpoint for the life of the process. `QUIRKS` is the one
table of possible refusals.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.nodes.llm.budget import ROLES
from langgraph_cooper.nodes.llm.models import at_openai, identity, speaks_openai, total_slots
from langgraph_cooper.ranker.model.forking import renew_after_fork, wait_before_fork

# Statuses of a refused request. 500 is also a passing fault: alone it proves nothing.
REFUSALS = (400, 422, 500, 501)
UNSURE = 500
MAX_TOLD = 4_000  # characters of the server's message that are searched
# Caps are this much wider for OpenAI's own endpoint and for other providers, which answer quickly,
# and for a model that needs to think; at most so much wider.
ROOM, MOST_ROOM = 16, 64
# Seconds between two observations of an ambiguous refusal: one burst of lanes is one observation.
APART = 5.0
# Seconds after which the first of them is forgotten: two passing faults prove nothing.
FORGOTTEN = 600.0
# Seconds without guesses after a series of them that failed: the other lanes would fail too.
FUTILE = 60.0
# A server's count of a prompt's tokens as a multiple of ours: at most so much; a report beyond
# the second figure is no count of the prompt; and the part by which the factor falls after a call
# with a smaller one.
MOST_COUNTED, NO_COUNT, FALLS = 3.0, 10.0, 0.1
MOST_KNOWN = 256  # models whose habits are kept: clients may name any


@dataclass(frozen=True)
class Request:
    """A request in the making.

    Attributes:
        messages: The prompt.
        options: Arguments of the model's `invoke`.
        temperature: What the model itself sends; None: nothing.
    """

    messages: list[BaseMessage]
    options: dict[str, Any] = field(default_factory=dict)
    temperature: float | None = None

    def without(self, *names: str) -> Request:
        """Return the request without these options."""
        return replace(self, options={k: v for k, v in self.options.items() if k not in names})


class Quirk(NamedTuple):
    """One row of the table.

    Attributes:
        says: Matches the message with which a server refuses.
        concerns: Whether a request has what is refused.
        plainly: Returns the request as the server takes it.
        lasts: Whether every later request would be refused too.
    """

    says: re.Pattern[str]
    concerns: Callable[[Request], bool]
    plainly: Callable[[Request], Request]
    lasts: bool = True


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


def capped(request: Request, name: str, tokens: int) -> Request:
    """Return the request with a cap on its answer under this name, and no other.

    langchain-openai renames a `max_tokens` option: only `extra_body` sends the old name.
    """
    bare = uncapped(request)
    if name == NEW_CAP:
        return replace(bare, options={**bare.options, NEW_CAP: tokens})
    body = {**bare.options.get("extra_body", {}), OLD_CAP: tokens}
    return replace(bare, options={**bare.options, "extra_body": body})


def cap_of(request: Request) -> tuple[str, int] | None:
    """Return the name and the number of the request's cap."""
    for name, given in ((NEW_CAP, request.options), (OLD_CAP, request.options.get("extra_body"))):
        if given and name in given:
            return name, given[name]
    return None


def uncapped(request: Request) -> Request:
    """Return the request without a cap."""
    body = {k: v for k, v in request.options.get("extra_body", {}).items() if k != OLD_CAP}
    bare = request.without(NEW_CAP, "extra_body")
    return replace(bare, options={**bare.options, "extra_body": body}) if body else bare


def _renamed(name: str) -> Callable[[Request], Request]:
    def plainly(request: Request) -> Request:
        cap = cap_of(request)
        return capped(request, name, cap[1]) if cap else request

    return plainly


OLD_CAP, NEW_CAP = "max_tokens", "max_completion_tokens"
NEWER_CAP = Quirk(
    _pattern(rf"{OLD_CAP}.*{NEW_CAP}"),
    lambda request: (cap_of(request) or ("",))[0] == OLD_CAP,
    _renamed(NEW_CAP),
)
NO_CAP = Quirk(
    _pattern("max_(completion_|output_)?tokens"),
    lambda request: cap_of(request) is not None,
    uncapped,
)
# Instructions in a role of their own, or two messages of one side in a row.
PLAIN_ROLES = Quirk(
    _pattern(r"\broles?\b", "developer", r"system.(message|prompt|instruction)"),
    _strict_roles,
    _alternating,
)
PLAIN_TEXT = Quirk(
    _pattern("response_format", "json_schema", "json.(mode|object)", "structured", "gramma"),
    lambda request: "response_format" in request.options,
    lambda request: request.without("response_format"),
)
# Prompt and cap together exceed the context: the server's own cap may fit.
TOO_MUCH = Quirk(
    _pattern(r"context.(length|size|window)", "too (large|long|many)"),
    lambda request: cap_of(request) is not None,
    uncapped,
    lasts=False,
)
# Reasoning models have one temperature.
NO_TEMPERATURE = Quirk(
    _pattern("temperature"),
    lambda request: request.temperature is not None,
    lambda request: replace(request, temperature=None),
)
# The first row that matches the refusal and concerns the request is tried first.
QUIRKS = (
    TOO_MUCH,
    NO_TEMPERATURE,
    PLAIN_TEXT,
    NEWER_CAP,
    Quirk(
        _pattern(NEW_CAP),
        lambda request: NEW_CAP in request.options,
        _renamed(OLD_CAP),
    ),
    NO_CAP,
    PLAIN_ROLES,
    # A parameter that the server does not name.
    Quirk(
        _pattern(
            r"(unknown|unrecogni[sz]ed|unsupported|unexpected|extra|additional)"
            r".{0,30}(param|argument|field|input|propert|keyword)"
        ),
        lambda request: "response_format" in request.options or cap_of(request) is not None,
        lambda request: uncapped(request.without("response_format")),
    ),
)


# What a server may have refused that does not say why, the least loss first.
GUESSES = (PLAIN_TEXT, PLAIN_ROLES, NEWER_CAP, NO_CAP)
# Words of messages that repeat the status and give no reason.
EMPTY_WORDS = re.compile(
    r"(an?|bad|body|by|client|code|content|could|encountered|entity|errors?|exception|failed|"
    r"failure|http|implemented|internal|invalid|is|malformed|not?|null|of|processed|provider|"
    r"requests?|response|returned|server|status|the|this|unknown|unprocessable|upstream|was|with|"
    r"your|[\W\d_])+",
    re.IGNORECASE,
)


def gives_reason(error: Exception) -> bool:
    """Return whether a refusal says more than its status: such a reason is not guessed at."""
    told: object = getattr(error, "body", None)
    while isinstance(told, dict):
        told = next((told[key] for key in ("message", "detail", "error") if told.get(key)), None)
    if not told or str(told).lstrip().startswith("<"):  # the page of a proxy
        return False
    words = str(told)[:MAX_TOLD].split()
    # One word is no more than a code.
    return len(words) > 1 and not all(EMPTY_WORDS.fullmatch(word) for word in words)


class Plainer:
    """How plainly one question is asked: what its server refused so far.

    Where the server does not say why, guess: one row of the table at a time, so that only the
    guess that helped is remembered, and in the end all of them together.

    Attributes:
        quirks: What is asked plainly.
        certain: Whether the server gave the reason of every refusal.
        futile: Whether no guess helped.
    """

    def __init__(self) -> None:
        self.quirks: tuple[Quirk, ...] = ()
        self.certain = True
        self.futile = False
        self._guess: tuple[Quirk, ...] = ()  # the last of `quirks`
        self._in_vain: tuple[Quirk, ...] = ()
        self._learnt = 0

    def refused(
        self, error: Exception, request: Request, suspected: Collection[Quirk] = (), *, guess: bool
    ) -> bool:
        """Find out what a server refused; return whether to ask more plainly at once.

        Args:
            error: The client's exception.
            request: The request.
            suspected: What earlier questions suspected, which is guessed first.
            guess: Whether to guess if the server gives no reason.
        """
        status = getattr(error, "status_code", None)
        if status not in REFUSALS:
            return False
        told = str(error)[:MAX_TOLD]
        for quirk in QUIRKS:
            if quirk not in self.quirks and quirk.concerns(request) and quirk.says.search(told):
                self.quirks += (quirk,)
                self._guess = ()  # it stays: the server may have taken it
                return True
        if not guess or TOO_MUCH.says.search(told) or gives_reason(error):
            return False
        return self._guessed(request, suspected, sure=status != UNSURE)

    def learnt(self) -> tuple[Quirk, ...]:
        """Return what was refused before this answer: a repair is no second observation."""
        new, self._learnt, self._guess = self.quirks[self._learnt :], len(self.quirks), ()
        return new

    def _guessed(self, request: Request, suspected: Collection[Quirk], *, sure: bool) -> bool:
        kept = self.quirks[: len(self.quirks) - len(self._guess)]
        self._in_vain = tuple(dict.fromkeys((*self._in_vain, *self._guess)))
        rows = [
            row
            for row in GUESSES
            if row not in (*kept, *self._in_vain)
            and row.concerns(request)
            and (sure or row is not NEWER_CAP)  # a 500 has few attempts: leave the cap out
        ]
        if rows:
            self._guess = (min(rows, key=lambda row: row not in suspected),)
        elif len(self._in_vain) > max(len(self._guess), 1):
            self._guess = self._in_vain
        else:
            self._guess = ()
        self.quirks = (*kept, *self._guess)
        if self._guess:
            self.certain = False  # a fault that passes looks as if the guess had helped
        self.futile = sure and not self._guess
        return sure and self._guess != ()


PASSED: Future[None] = Future()
PASSED.set_result(None)


class Habits:
    """Known behaviour of one model at one endpoint.

    Attributes:
        quirks: Features that the server rejects.
        thinks: Whether its answers begin in a thought that was not opened; None before the first
            answer.
        cap: The name under which it is first sent a cap.
        token_factor: The server's count of a prompt's tokens as a multiple of ours, never below 1.
    """

    def __init__(self, model: BaseChatModel) -> None:
        quick = not speaks_openai(model) or at_openai(model)
        self.quirks: frozenset[Quirk] = frozenset()
        self.thinks: bool | None = False if at_openai(model) else None
        self.cap = NEW_CAP if quick else OLD_CAP
        self.token_factor = 1.0
        self._room = ROOM if quick else 1
        self._rooms: dict[str, int] = {}
        self._first: dict[str, Future[None]] = dict.fromkeys(ROLES, PASSED) if quick else {}
        self._suspected: dict[Quirk, float] = {}
        self._futile_until = -math.inf
        self._higher = 1.0  # the factor of the last report, which the next one may confirm
        self._slots: int | None = None
        self._unasked = not quick
        self._asking = threading.Lock()
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin anew in a child what a thread of its parent had begun: no thread ends it there."""
        self._asking = threading.Lock()
        self._first = {role: first for role, first in self._first.items() if first.done()}

    @property
    def suspected(self) -> Collection[Quirk]:
        """What the server may reject: it was observed once."""
        with _lock:
            return tuple(self._suspected)

    @property
    def slots_known(self) -> bool:
        """Whether `slots` answers without asking the server."""
        return not self._unasked

    def slots(self, model: BaseChatModel) -> int | None:
        """Return the number of the server's slots if it says so; it is asked once."""
        import openai

        with self._asking:  # the other lanes wait for the answer too
            if self._unasked:
                # A server that is not there may yet be started.
                with suppress(openai.APIConnectionError):
                    self._slots = total_slots(model)
                    self._unasked = False
            return self._slots

    @contextmanager
    def first(self, role: str) -> Iterator[Future[None]]:
        """Let a role's first request to an unknown server go before those of the other lanes.

        Spare the other lanes the same refusal. Yield the future to wait for.
        """
        with _lock:
            before = self._first.get(role)
            own = self._first[role] = before or Future()
        try:
            yield before or PASSED
        finally:
            if before is None:
                own.set_result(None)

    def room(self, role: str) -> int:
        """Return the factor of a role's caps."""
        return self._rooms.get(role, ROOM if self.thinks else self._room)

    def widen(self, role: str, room: int, *, factor: int, limit: int) -> bool:
        """Give a role more room than an answer had; return whether it has more now.

        Another lane's answer may have had the same effect before.
        """
        with _lock:
            self._rooms[role] = max(self.room(role), min(room * factor, limit))
            return self._rooms[role] > room

    def count(self, counted: int | None, ours: int, limit: int) -> None:
        """Compare the server's count of a prompt's tokens with ours.

        The factor rises when a second report in a row confirms it, and falls slowly. A short
        prompt may only lower it: what a server adds to each prompt is no factor.

        Args:
            counted: The server's count; None for a report that cannot be used.
            ours: Our count.
            limit: The most tokens of a prompt by our count.
        """
        factor = counted / max(ours, 1) if counted is not None else 1.0
        if factor > NO_COUNT:
            factor = 1.0
        factor = min(max(factor, 1.0), MOST_COUNTED)
        with _lock:
            if factor <= self.token_factor:
                self.token_factor += (factor - self.token_factor) * FALLS
                self._higher = 1.0
            elif 2 * ours >= limit:
                self.token_factor = max(self.token_factor, min(factor, self._higher))
                self._higher = factor

    def learn(self, quirks: Iterable[Quirk], *, certain: bool) -> None:
        """Remember what the server refused before it answered the plainer request.

        Require a second observation of an ambiguous refusal, from `APART` to `FORGOTTEN` seconds
        after the first, and no request between them that was `taken`.
        """
        now = time.monotonic()
        with _lock:
            for quirk in [one for one in quirks if one.lasts]:
                if now - self._suspected.get(quirk, now) > FORGOTTEN:
                    del self._suspected[quirk]
                if certain or now - self._suspected.setdefault(quirk, now) > APART:
                    self.quirks |= {quirk}

    @property
    def guessing(self) -> bool:
        """Whether to guess at a refusal without a reason: no series of guesses failed just now."""
        return time.monotonic() >= self._futile_until

    def give_up(self) -> None:
        """Spare other questions the guesses that failed, for `FUTILE` seconds."""
        self._futile_until = time.monotonic() + FUTILE

    def taken(self, request: Request) -> None:
        """Clear the suspicion that the server refuses what it took in this request."""
        with _lock:
            self._futile_until = -math.inf
            for quirk in [one for one in self._suspected if one.concerns(request)]:
                del self._suspected[quirk]


_lock = threading.Lock()
wait_before_fork(_lock)
_known: OrderedDict[object, Habits] = OrderedDict()


def habits_of(model: BaseChatModel) -> Habits:
    """Return what this process knows of a model at its endpoint; forget the longest unused."""
    known = identity(model)
    made = _known.get(known) or Habits(model)
    with _lock:
        habits = _known.setdefault(known, made)
        _known.move_to_end(known)
        while len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    return habits


def forget() -> None:
    """Forget all that was learnt."""
    with _lock:
        _known.clear()


def shaped(request: Request, quirks: Collection[Quirk]) -> Request:
    """Return the request in the form that a server with these quirks takes."""
    for quirk in QUIRKS:
        if quirk in quirks:
            request = quirk.plainly(request)
    return request
