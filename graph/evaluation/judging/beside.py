"""Puts what systems said about the same problems side by side (the form of the paper's Table 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, Problem, Said
from langgraph_cooper.ranker.data.dialogue import DataError

Exchange = tuple[Said, Said]
"""What the user said in a round, and the reply."""

MARKS = "\\|*_`[]<>~#"
"""Characters of a text that would be markup, or end a cell of a table."""


def side_by_side(rows: Sequence[Conversation], rounds: Sequence[int], most: int) -> str:
    """Return Markdown: a heading for each role, and a table for each round.

    The rule is fixed, so that nobody chooses what looks well: the first roles of the file, in their
    first manner, with which every system reached the last round that is shown, without a fault.

    Args:
        rows: Conversations.
        rounds: The rounds to show, from 1.
        most: The number of roles, at most.

    Raises:
        DataError: There is no such role.
    """
    systems = list(dict.fromkeys(row.system for row in rows))
    if parts := [_problem(one, rounds) for one in islice(_shown(rows, max(rounds)), most)]:
        return "\n".join(parts)
    raise DataError(
        f"there is no role with which all of {', '.join(systems)} reached round {max(rounds)}: "
        "show earlier rounds (--rounds 1,2), or fewer --systems"
    )


def _shown(rows: Sequence[Conversation], rounds: int) -> Iterator[list[Conversation]]:
    """Yield each role's conversations with all systems, where they are long enough."""
    systems = dict.fromkeys(row.system for row in rows)
    by_problem: dict[Problem, dict[str, Conversation]] = {}
    for row in rows:
        if row.whole and len(exchanges(row)) >= rounds:
            by_problem.setdefault(row.problem, {})[row.system] = row
    shown: set[str] = set()
    for (role, _, _), held in by_problem.items():
        if role not in shown and len(held) == len(systems):
            shown.add(role)
            yield [held[name] for name in systems]


def exchanges(row: Conversation) -> list[Exchange]:
    """Return the rounds of a conversation: each utterance of the user with the reply to it."""
    pairs = zip(row.said, row.said[1:], strict=False)
    return [pair for pair in pairs if [each.speaker for each in pair] == ["user", "system"]]


def _problem(held: Sequence[Conversation], rounds: Sequence[int]) -> str:
    role = held[0].role
    about = ", ".join(filter(None, (role.problem, role.emotion)))
    lines = [f"### {_cell(about or role.id)} ({_cell(role.id)}, {held[0].manner})", ""]
    if any(row.said[0].speaker == "system" for row in held):
        lines += _table("opening", ["it begins"], [(row, [row.said[0].text]) for row in held])
    for number in rounds:
        said = [(row, _cells(exchanges(row)[number - 1])) for row in held]
        lines += _table(f"round {number}", ["the user", "the reply", "takes up"], said)
    return "\n".join(lines)


def _cells(exchange: Exchange) -> list[str]:
    said, reply = exchange
    return [said.text, reply.text, str(reply.why.get("aspect") or "")]


def _table(
    name: str, columns: Sequence[str], rows: Sequence[tuple[Conversation, list[str]]]
) -> list[str]:
    head = [name, *columns]
    cells = [head, ["---"] * len(head), *([row.system, *texts] for row, texts in rows)]
    shown = [[_cell(cell) if at != 1 else cell for cell in line] for at, line in enumerate(cells)]
    return [*(f"| {' | '.join(line)} |" for line in shown), ""]


def _cell(text: str) -> str:
    """Return a text that keeps a table of Markdown whole, and is no markup itself."""
    shown = " ".join(text.split()).replace("&", "&amp;")
    return "".join(f"\\{mark}" if mark in MARKS else mark for mark in shown)
