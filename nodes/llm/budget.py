"""The budget of one turn's model calls: a number of calls and a number of seconds.

All model calls of a turn share it, from several threads or tasks and from subgraphs of any depth.
LangGraph has no place for such an object: a channel would show it in `get_state` or save it with a
subgraph's input, and a context variable does not pass between parallel nodes. What the nodes of a
run do share is its `RunControl`, which LangGraph makes for each run, resumed ones too, and hands to
every subgraph. Budgets are kept under it until their generator is done.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl, Runtime, get_runtime

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.ranker.model.forking import wait_before_fork

Role = Literal["guard", "tracker", "promoter", "generator"]
# The share of the deadline by which each role must be done: a slow agent never takes the reply's
# time, nor a slow tracker its promoter's.
BY = {"guard": 1.0, "tracker": 0.6, "promoter": 0.8, "generator": 1.0}
# The guard's second reader has a budget of its own: calls for each message, and a share of the
# deadline for all messages of a turn. It has its own server's slots.
GUARD_CALLS, GUARD_SHARE = 3, 0.3
# Default number of calls, as a multiple of a turn without faults; the rest is for retries.
SPARE = 4

# Seconds between two questions of a turn that is still alive: meanwhile it may load its models.
LOADING = 600.0

POLL = 0.05  # seconds between two looks at whether the run must end

ROLES: tuple[Role, ...] = ("guard", "tracker", "promoter", "generator")  # in a turn's order

Turn = tuple[RunControl, str]
"""A run and the namespace in it of the conversation's graph, which a host graph may run twice."""


class Budget:
    """Calls and seconds of one turn; safe to use from several threads.

    Its clock runs while a question is asked, and stands still while models are loaded here or
    candidates are ranked: a cold start would else take the model's time.

    Args:
        calls: The number of model calls. The last one is kept for the generator.
        seconds: For all of `asking` together.
        slots: How many requests may be under way at the same time, and for whom.
        control: The run's, which says whether it must end early.
    """

    def __init__(
        self, calls: int, seconds: float, slots: Slots, control: RunControl | None = None
    ) -> None:
        self.calls = calls
        self.seconds = seconds
        self.slots = slots
        self._asking = 0
        self._passed = 0.0  # seconds until `_since`, when a question last began or ended
        self._since = time.monotonic()
        self._spent = 0
        self._control = control
        self._met = False
        self._meeting = threading.Lock()
        self._lock = threading.Lock()

    @property
    def met(self) -> bool:
        """Whether the server was asked how many slots it has."""
        return self._met

    def meet(self, ask: Callable[[], int | None]) -> None:
        """Ask the server how many slots it has, once; the turn's other questions wait for that.

        Each of them would else wait for a server that is not there.
        """
        with self._meeting:
            if not self._met:
                self.slots.limit(ask())
                self._met = True

    def check_drained(self) -> None:
        """End a run that is being drained, as when its caller has left: it can be resumed later.

        Raises:
            GraphDrained: The run must end.
        """
        if self._control is not None and self._control.drain_requested:
            raise GraphDrained(self._control.drain_reason or "drained")

    def sleep(self, seconds: float) -> None:
        """Wait in an OS thread, unless the run must end.

        Raises:
            GraphDrained: The run must end.
        """
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.check_drained()
            time.sleep(min(left, POLL))

    def spend(self, role: Role) -> None:
        """Take one call.

        Raises:
            ModelError: No call is left for this role.
            GraphDrained: The run must end.
        """
        self.check_drained()
        with self._lock:
            if self._spent >= self._limit(role):
                raise ModelError(
                    f"the {role} has no model call left of the turn's {self.calls}; raise "
                    "max_calls",
                    "budget",
                )
            self._spent += 1

    def spent(self, role: Role) -> bool:
        """Return whether no call is left for this role."""
        with self._lock:
            return self._spent >= self._limit(role)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let the clock run for a question; questions that are asked together count once."""
        self._asks(1)
        try:
            yield
        finally:
            self._asks(-1)

    def left(self, role: Role) -> float:
        """Return the seconds until this role's time is over; negative after that."""
        with self._lock:
            return BY[role] * self.seconds - self._elapsed()

    def share(self, role: Role) -> float:
        """Return the seconds for one request: those that wait behind it need their part too."""
        return self.left(role) / self.slots.rounds(role)

    @property
    def over(self) -> bool:
        """Whether the turn must have ended long ago."""
        return time.monotonic() > self._since + 2 * self.seconds + LOADING

    def _asks(self, more: int) -> None:
        with self._lock:
            self._passed, self._since = self._elapsed(), time.monotonic()
            self._asking += more

    def _elapsed(self) -> float:
        return self._passed + (time.monotonic() - self._since if self._asking else 0)

    def _limit(self, role: Role) -> int:
        return self.calls - 1 if role in ("tracker", "promoter") else self.calls


class Slots:
    """The requests of a turn that may be under way at once; safe to use from several threads.

    A queue of its own, and not a semaphore: it is shared by threads and tasks, and an earlier
    role goes first. A slow lane's tracker would otherwise wait behind a quick one's promoter.

    Args:
        count: The number of slots; None: any number.
        lanes: How many agents ask.
    """

    def __init__(self, count: int | None, lanes: int) -> None:
        self._count = count
        self._lanes = lanes
        self._begun = dict.fromkeys(ROLES, 0)
        self._taken = 0
        self._waiting: list[tuple[Role, Future[None]]] = []
        self._lock = threading.Lock()

    def limit(self, count: int | None) -> None:
        """Set the number of slots, if it is known and nobody has chosen another."""
        with self._lock:
            self._count = self._count or count

    def enter(self, role: Role) -> Future[None]:
        """Queue for a slot.

        The future completes when it is granted; release it with `leave`.
        """
        turn: Future[None] = Future()
        with self._lock:
            self._waiting.append((role, turn))
            self._waiting.sort(key=lambda waiting: ROLES.index(waiting[0]))
            self._admit()
        return turn

    def leave(self, turn: Future[None]) -> None:
        """Give a slot back, or stop waiting for one."""
        with self._lock:
            if turn.cancel():
                self._waiting = [waiting for waiting in self._waiting if waiting[1] is not turn]
            else:
                self._taken -= 1
            self._admit()

    def rounds(self, role: Role) -> int:
        """Return the number of batches for this role's outstanding requests.

        Count the current one.
        """
        # The guard reads no more once one message fails: the first may take all the time.
        if self._count is None or role == "guard":
            return 1
        with self._lock:
            waiting = sum(other == role for other, _ in self._waiting)
            lanes = 1 if role == "generator" else self._lanes
            to_come = max(lanes - self._begun[role], waiting) + 1
            return math.ceil(to_come / self._count)

    def _admit(self) -> None:
        while self._waiting and (self._count is None or self._taken < self._count):
            role, turn = self._waiting.pop(0)
            self._taken += 1
            self._begun[role] += 1
            turn.set_result(None)


_budgets: dict[Turn, Budget] = {}
_lock = threading.Lock()
wait_before_fork(_lock)


def context_of_turn(outside: CooperContext | None = None) -> CooperContext:
    """Return the context of the current turn, or this one (the defaults) outside a run."""
    runtime = _runtime()
    context = runtime.context if runtime else None
    # A host graph's own context is ignored.
    return context if isinstance(context, CooperContext) else outside or CooperContext()


def calls_of_turn(agents: int) -> int:
    """Return the number of model calls that a turn may take if the run names none."""
    return SPARE * (2 * agents + 1)


def budget_of_turn(aspects: Sequence[str], context: CooperContext) -> Budget:
    """Return the budget of the current turn, or a new one outside a run.

    Args:
        aspects: Names of the task's aspects, which are the names of its agents' nodes.
        context: Limits of a new one.
    """
    runtime = _runtime()
    calls = context.max_calls or calls_of_turn(len(aspects))
    allowed = Slots(context.at_once, len(aspects))
    new = Budget(calls, context.deadline, allowed, runtime.control if runtime else None)
    if (turn := _turn(runtime, aspects)) is None:
        return new
    with _lock:
        if turn not in _budgets:
            for old in [old for old, budget in _budgets.items() if budget.over]:
                del _budgets[old]  # turns that failed before their generator
        return _budgets.setdefault(turn, new)


@dataclass
class _GuardStep:
    messages: int = 1
    budget: Budget | None = None


# One step makes all of its calls from one thread or event loop, which pass this variable on.
_guard_step: ContextVar[_GuardStep | None] = ContextVar("guard_step", default=None)


@contextmanager
def guard_step(messages: int) -> Iterator[None]:
    """Share one budget, with its slots, among all messages that the second reader reads in here."""
    before = _guard_step.set(_GuardStep(messages))
    try:
        yield
    finally:
        _guard_step.reset(before)


def budget_of_guard(context: CooperContext) -> Budget:
    """Return the budget of the current `guard_step`, or a new one for one message outside it.

    Args:
        context: Has the deadline and the number of requests at once.
    """
    step = _guard_step.get() or _GuardStep()
    if step.budget is None:
        runtime = _runtime()
        control = runtime.control if runtime else None
        calls, seconds = GUARD_CALLS * step.messages, GUARD_SHARE * context.deadline
        step.budget = Budget(calls, seconds, Slots(context.at_once, 1), control)
    return step.budget


def release(aspects: Sequence[str]) -> None:
    """Forget the budget of the current turn, after its generator."""
    if turn := _turn(_runtime(), aspects):
        with _lock:
            _budgets.pop(turn, None)


def _turn(runtime: Runtime[Any] | None, aspects: Sequence[str]) -> Turn | None:
    if runtime is None or runtime.control is None or runtime.execution_info is None:
        return None
    # "host:id|action:id|tracker:id": the conversation's graph is the part before its own node.
    path = runtime.execution_info.checkpoint_ns.split("|")
    nodes = {*aspects, "generator"}
    own = [depth for depth, node in enumerate(path) if node.partition(":")[0] in nodes]
    return runtime.control, "|".join(path[: own[-1]] if own else ())


def _runtime() -> Runtime[Any] | None:
    try:
        runtime: Runtime[Any] | None = get_runtime()
    except (RuntimeError, KeyError):  # not in a graph
        return None
    return runtime
