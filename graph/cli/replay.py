"""`cooper replay`: runs recorded conversations again, or writes them for a bug report."""

from __future__ import annotations

import asyncio
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_cooper.graph.cli.options import AsJson
from langgraph_cooper.graph.cli.talks import keep_input
from langgraph_cooper.graph.cli.terminal import tell
from langgraph_cooper.prompts import load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.interactive.replay import ReplayedTurn
    from langgraph_cooper.graph.evaluation.interactive.rows import Conversation

DIFFERENT = 1
SHORT = 12
"""Characters of a key that are shown."""


def replay(
    file: Annotated[Path, typer.Argument(help="Conversations of 'cooper evaluate interactive'.")],
    key: Annotated[
        str | None, typer.Option(help="The beginning of a conversation's key; none: all.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="The task, if it is none of the shipped ones.")
    ] = None,
    extract: Annotated[
        Path | None, typer.Option(help="Write the conversations to this file, and run none.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Write them without their words (with --extract).")
    ] = False,
    json: AsJson = False,
) -> None:
    """Run recorded conversations again from their record, and compare the states."""
    from langgraph_cooper.graph.evaluation.interactive.replay import by_program, chosen
    from langgraph_cooper.graph.evaluation.interactive.rows import read_conversations

    if redact and extract is None:
        raise typer.BadParameter("--redact takes the words out of a new file: name it in --extract")
    keep_input(extract, "--extract", [file])
    settings, rows = read_conversations(file)
    found = chosen(rows, key, file)
    if extract:
        _write(extract, settings, found, redact=redact)
        return
    again = [row for row in found if not by_program(row)]
    if again and len(again) < len(found):
        left = len(found) - len(again)
        typer.echo(f"left out, as a program's answers cannot be made again: {left:,}", err=True)
    told = asyncio.run(_replayed(settings, again or found, task))
    for each in told:
        tell(jsonlib.dumps(each) if json else _sentence(each))
    if any(each["differs"] for each in told):
        raise typer.Exit(DIFFERENT)


async def _replayed(
    settings: dict[str, Any], rows: list[Conversation], task: str | None
) -> list[dict[str, Any]]:
    from langgraph_cooper.graph.evaluation.interactive.replay import Replay

    spec = load_task(task or settings["task"])
    found = []
    for row in rows:
        again = Replay(row, settings, spec)
        turns = await again.run()
        first = next((turn for turn in turns if turn.differs), None)
        found.append(_told(row, turns, first, again.missing))
    return found


def _told(
    row: Conversation, turns: list[ReplayedTurn], first: ReplayedTurn | None, missing: int
) -> dict[str, Any]:
    told: dict[str, Any] = {"key": row.key, "system": row.system, "turns": len(turns)}
    told |= {"differs": first is not None, "missing": missing}
    if first:
        told["first"] = {"turn": first.number, "part": first.differs}
        told["first"] |= {"was": first.was, "now": first.now}
    return told


def _sentence(told: dict[str, Any]) -> str:
    begin = f"{told['key'][:SHORT]} {told['system']}: {told['turns']} turns"
    lacking = f"; answers that the record lacks: {told['missing']:,}"
    if not told["differs"]:
        return f"{begin}, all with the same states{lacking}"
    first = told["first"]
    return (
        f"{begin}; turn {first['turn']} differs first, in its {first['part']} "
        f"({first['was']!r} there, {first['now']!r} now){lacking}"
    )


def _write(file: Path, settings: dict[str, Any], rows: list[Conversation], *, redact: bool) -> None:
    from langgraph_cooper.graph.evaluation.interactive.redact import record_lines
    from langgraph_cooper.ranker.data.jsonl import replacing

    with replacing(file) as stream:
        stream.writelines(line.encode() for line in record_lines(settings, rows, redact=redact))
    typer.echo(f"{file}: {len(rows):,} conversations{', without their words' if redact else ''}")
