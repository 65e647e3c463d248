"""What the model calls of one turn may take together: so many calls, so many seconds."""

from __future__ import annotations

import threading
import time
from typing import Any, Literal

from langgraph.runtime import Runtime, get_runtime

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError

Role = Literal["tracker", "promoter", "generator"]
# By which part of the deadline each must be done: slow agents never take the reply's time, nor a
# slow tracker its promoter's.
BY = {"tracker": 0.4, "promoter": 0.7, "generator": 1.0}
# How many subgraphs deep each works, from the graph of the whole conversation.
DEPTH = {"tracker": 2, "promoter": 2, "generator": 1}
# Faults and repairs may make a turn this many times as many calls as a turn without them.
SPARE = 4


class Budget:
    """Calls and seconds, shared by whoever works on a turn, from whatever thread.

    Args:
        calls: How many model calls. The last one is kept for the generator.
        seconds: From now on.
    """

    def __init__(self, calls: int, seconds: float) -> None:
        self.calls = calls
        self.seconds = seconds
        self._began = time.monotonic()
        self._spent = 0
        self._lock = threading.Lock()

    def spend(self, role: Role) -> None:
        """Takes one call.

        Raises:
            ModelError: None is left for this role.
        """
        with self._lock:
            if self._spent >= self._limit(role):
                raise ModelError(
                    f"the {role} has no model call left of the turn's {self.calls}; raise "
                    "max_calls, or send the message again",
                    "budget",
                )
            self._spent += 1

    def spent(self, role: Role) -> bool:
        """Whether no call is left for this role."""
        with self._lock:
            return self._spent >= self._limit(role)

    def left(self, role: Role) -> float:
        """Seconds until this role must be done; negative when they are over."""
        return self._began + BY[role] * self.seconds - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether nobody can be at work on this turn any more."""
        return time.monotonic() > self._began + 2 * self.seconds

    def _limit(self, role: Role) -> int:
        return self.calls if role == "generator" else self.calls - 1


# LangGraph makes one control object for each run, and hands it on to every subgraph of it; a run
# that is resumed gets another. With the place of this graph in the run (a host graph may come
# here several times) it names the turn. Kept with it, so that no other object gets its id.
_turns: dict[tuple[int, str], tuple[object, Budget]] = {}
_lock = threading.Lock()


def budget_of_turn(role: Role, agents: int) -> Budget:
    """The budget of the turn under way, made by whoever asks first; outside a run, a new one.

    Args:
        role: Who asks.
        agents: How many agents the graph has.
    """
    runtime = _runtime()
    context = runtime.context if runtime else None
    if not isinstance(context, CooperContext):  # that of a host graph means nothing here
        context = CooperContext()
    calls = context.max_calls or SPARE * (2 * agents + 1)
    if (turn := _turn(runtime, role)) is None:
        return Budget(calls, context.deadline)
    key, control = turn
    with _lock:
        if key not in _turns:
            for old in [old for old, (_, budget) in _turns.items() if budget.over]:
                del _turns[old]  # of turns that failed before their generator was asked
            _turns[key] = (control, Budget(calls, context.deadline))
        return _turns[key][1]


def release(role: Role) -> None:
    """Forgets the budget of the turn under way: its generator is done."""
    if turn := _turn(_runtime(), role):
        with _lock:
            _turns.pop(turn[0], None)


def _turn(runtime: Runtime[Any] | None, role: Role) -> tuple[tuple[int, str], object] | None:
    if runtime is None or runtime.control is None or runtime.execution_info is None:
        return None
    place = runtime.execution_info.checkpoint_ns.split("|")[: -DEPTH[role]]
    return (id(runtime.control), "|".join(place)), runtime.control


def _runtime() -> Runtime[Any] | None:
    try:
        runtime: Runtime[Any] | None = get_runtime()
    except (RuntimeError, KeyError):  # not in a graph
        return None
    return runtime
