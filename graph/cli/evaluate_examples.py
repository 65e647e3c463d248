"""`cooper evaluate examples`: what systems said about the same problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.evaluate_judging import Only
from langgraph_cooper.graph.cli.options import names_of
from langgraph_cooper.graph.cli.talks import tell_missing
from langgraph_cooper.graph.cli.terminal import tell


def examples(
    file: Annotated[Path, typer.Argument(help="Conversations of 'cooper evaluate interactive'.")],
    rounds: Annotated[str, typer.Option(help="The rounds to show, by commas.")] = "1,3,6",
    limit: Annotated[int, typer.Option(min=1, help="Show the first N roles.")] = 3,
    systems: Only = "",
) -> None:
    """Print conversations about the same problems side by side, as Markdown."""
    from langgraph_cooper.graph.evaluation.interactive.redact import REDACTED
    from langgraph_cooper.graph.evaluation.interactive.rows import read_conversations
    from langgraph_cooper.graph.evaluation.judging.beside import side_by_side
    from langgraph_cooper.ranker.data.dialogue import DataError

    shown = _rounds(rounds)
    settings, rows = read_conversations(file)
    tell_missing(file, len(rows))
    if settings.get(REDACTED):
        raise DataError(f"{file} is redacted: it has no words to show")
    only = names_of(systems) or list(dict.fromkeys(row.system for row in rows))
    known = {row.system for row in rows}
    if missing := [name for name in only if name not in known]:
        raise typer.BadParameter(f"--systems: the file has no conversation of {missing[0]!r}")
    wanted = [row for name in only for row in rows if row.system == name]
    tell(side_by_side(wanted, shown, limit))


def _rounds(given: str) -> list[int]:
    parts = names_of(given)
    numbers = [int(part) if part.isdecimal() else 0 for part in parts]
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(
            f"--rounds: name rounds from 1 by commas, as in 1,3,6, not {given!r}"
        )
    return sorted(set(numbers))
