"""Puts what systems said about the same problems side by side (the form of the paper's Table 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, Problem, Said
from langgraph_cooper.ranker.data.dialogue import DataError

Exchange = tuple[Said, Said]
"""What the user said in a round, and the reply."""


def side_by_side(rows: Sequence[Conversation], rounds: Sequence[int], most: int) -> str:
    """Return Markdown: a heading for each problem, and a table for each round.

    The rule is fixed, so that nobody chooses what looks well: the first problems of the file that
    all systems have talked about for as many rounds.

    Args:
        rows: Conversations.
        rounds: The rounds to show, from 1.
        most: The number of problems, at most.

    Raises:
        DataError: There is no such problem.
    """
    systems = list(dict.fromkeys(row.system for row in rows))
    found = islice(_long_enough(rows, systems, max(rounds)), most)
    if parts := [_problem(one, rounds) for one in found]:
        return "\n".join(parts)
    raise DataError(
        f"there is no problem about which all of {', '.join(systems)} have talked for "
        f"{max(rounds)} rounds: show earlier rounds (--rounds 1,2), or fewer --systems"
    )


def _long_enough(
    rows: Sequence[Conversation], systems: Sequence[str], rounds: int
) -> Iterator[list[Conversation]]:
    by_problem: dict[Problem, dict[str, Conversation]] = {}
    for row in rows:
        by_problem.setdefault(row.problem, {})[row.system] = row
    for held in by_problem.values():
        if all(name in held and len(exchanges(held[name])) >= rounds for name in systems):
            yield [held[name] for name in systems]


def exchanges(row: Conversation) -> list[Exchange]:
    """Return the rounds of a conversation: each utterance of the user with the reply to it."""
    pairs = zip(row.said, row.said[1:], strict=False)
    return [pair for pair in pairs if [each.speaker for each in pair] == ["user", "system"]]


def _problem(held: Sequence[Conversation], rounds: Sequence[int]) -> str:
    role = held[0].role
    about = ", ".join(filter(None, (role.problem, role.emotion))) or role.id
    lines = [f"### {about} ({role.id}, {held[0].manner})", ""]
    for number in rounds:
        lines += [
            f"| round {number} | the user | the reply | takes up |",
            "| --- | --- | --- | --- |",
        ]
        for row in held:
            said, reply = exchanges(row)[number - 1]
            aspect = str(reply.why.get("aspect") or "")
            cells = (row.system, _cell(said.text), _cell(reply.text), aspect)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a text that keeps a table of Markdown whole, and is no markup itself."""
    shown = " ".join(text.split()).replace("\\", "\\\\")
    for mark in "|*_`[]<>":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
