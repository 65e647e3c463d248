"""Pairs of conversations about the same problem, and those that cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
from langgraph_cooper.ranker.data.dialogue import DataError

Systems = tuple[str, str]


class Pair(NamedTuple):
    """Two systems' conversations about one problem."""

    systems: Systems
    one: Conversation
    other: Conversation

    @property
    def unit(self) -> str:
        """The role: what results are independent by."""
        return self.one.role.id


class Paired(NamedTuple):
    """The pairs of a file.

    Attributes:
        systems: All pairs of systems, in the file's order.
        pairs: What can be compared.
        left_out: Pair of systems -> why not -> number.
    """

    systems: list[Systems]
    pairs: list[Pair]
    left_out: dict[Systems, dict[str, int]]


def paired(rows: Sequence[Conversation], only: Sequence[str] = ()) -> Paired:
    """Pair conversations by role, manner and seed.

    Args:
        rows: Conversations.
        only: Systems to compare; empty: all.

    Raises:
        DataError: There are fewer than two systems.
    """
    names = [name for name in dict.fromkeys(row.system for row in rows) if not only or name in only]
    if missing := [name for name in only if name not in names]:
        raise DataError(f"the file has no conversation of the system {missing[0]!r}")
    if len(names) < 2:
        raise DataError("the file has conversations of one system: two are compared")
    problems = list(dict.fromkeys(row.problem for row in rows))
    by_place = {(row.system, row.problem): row for row in rows}
    found = Paired(list(combinations(names, 2)), [], {})
    for systems in found.systems:
        for problem in problems:
            one, other = (by_place.get((name, problem)) for name in systems)
            why = _why_not(one, other)
            if why is None and one and other:
                found.pairs.append(Pair(systems, one, other))
            elif why:
                counts = found.left_out.setdefault(systems, {})
                counts[why] = counts.get(why, 0) + 1
    return found


def _why_not(one: Conversation | None, other: Conversation | None) -> str | None:
    """Return why two conversations cannot be compared, if so; empty: there is neither."""
    if one is None and other is None:
        return ""
    if one is None or other is None:
        return "one conversation is missing"
    for row in (one, other):
        if row.ended.by == "fault":
            return f"{row.system} {row.ended.by}: {row.ended.how}"
    for row in (one, other):
        if not row.whole:
            return f"{row.system} {row.ended.by}: {row.ended.how}, without a word of one side"
    return None
