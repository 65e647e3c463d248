"""`cooper evaluate text` and `cooper evaluate generation`: replies against the real ones."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import annotated_of, read_file
from langgraph_cooper.graph.cli.options import AsJson, Deadline, MaxCalls, Task, names_of
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.graph.cli.terminal import PlainConsole
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.generation import RealTurns, Replies
    from langgraph_cooper.graph.evaluation.speakers import Speaker


def text(
    hypotheses: Annotated[Path, typer.Option(help="Generated texts, one a line.")],
    references: Annotated[Path, typer.Option(help="The real ones, in the same order.")],
    json: AsJson = False,
) -> None:
    """Score a file of texts against another, line by line."""
    from langgraph_cooper.graph.evaluation.outputs import read_lines
    from langgraph_cooper.graph.evaluation.text_metrics import rounded, score_texts
    from langgraph_cooper.ranker.data.dialogue import DataError

    said, real = read_lines(hypotheses), read_lines(references)
    if len(said) != len(real):
        raise DataError(
            f"{hypotheses} has {len(said):,} lines and {references} has {len(real):,}: each line "
            "needs its reference on the same line"
        )
    scored = score_texts(said, real)
    found = rounded(scored.scores())
    _tell_meteor(found)
    if json:
        typer.echo(jsonlib.dumps(found))
    else:
        _table("texts", {hypotheses.name: found}, {hypotheses.name: rounded(scored.shape())})


def generation(
    data: Annotated[Path, typer.Option(help="Dialogues, raw or annotated.")],
    task: Task = "esc",
    systems: Annotated[
        str, typer.Option(help="Systems to compare, the first of them with each of the others.")
    ] = "bank",
    model: Annotated[
        str | None, typer.Option(help="The chat model of prompted, plain, cot and mixinit.")
    ] = None,
    generator: Annotated[
        Path | None,
        typer.Option(help="The folder of a fine-tuned generator for the systems that use one."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE, another system's replies; may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Measure the first N turns.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="A file for the report; the replies are kept beside it, to go on."),
    ] = None,
    at_once: Annotated[
        int, typer.Option(min=1, max=100, help="Dialogues at a time, where a chat model is asked.")
    ] = 2,
    deadline: Deadline = 300,
    max_calls: MaxCalls = None,
    json: AsJson = False,
) -> None:
    """Score systems' replies at the same turns against what was really said."""
    from langgraph_cooper.graph.evaluation.ablations import annotated_turns
    from langgraph_cooper.graph.evaluation.generation import (
        RealTurns,
        generation_report,
        reply_to_all,
    )
    from langgraph_cooper.graph.evaluation.outputs import read_outputs
    from langgraph_cooper.graph.evaluation.speakers import (
        FINETUNED_ANNOTATED,
        WITH_MODEL,
        WITH_VOICE,
        speakers,
    )
    from langgraph_cooper.nodes.context import CooperContext

    spec = load_task(task)
    limits = CooperContext(deadline=deadline, max_calls=max_calls)
    named = names_of(systems)
    files = _named_files(outputs or (), named)
    if not named and not files:
        raise typer.BadParameter("name at least one of --systems, or --outputs")
    others = [name for name in named if name != FINETUNED_ANNOTATED]
    theirs = generator if others == named or WITH_VOICE.intersection(others) else None
    chosen = speakers(spec, others, model, limits, theirs)
    dialogues = read_file(spec, data)
    turns = RealTurns.of(dialogues, spec)
    if FINETUNED_ANNOTATED in named:
        if files:
            raise typer.BadParameter(
                f"--outputs: {FINETUNED_ANNOTATED} leaves turns out, so that no file fits; "
                "measure them apart"
            )
        turns = annotated_turns(turns, annotated_of(dialogues))
        prepared = _prepared(spec, generator, turns.first(limit))
        chosen = {name: {**chosen, FINETUNED_ANNOTATED: prepared}[name] for name in named}
    # Files are aligned with all turns: the limit applies afterwards.
    given = {name: read_outputs(file, turns) for name, file in files.items()}
    turns = turns.first(limit)
    replies = {
        name: asyncio.run(spoken(reply_to_all, speaker, turns, _kept(output, name), several))
        for name, speaker in chosen.items()
        for several in [at_once if name in WITH_MODEL else 1]
    }
    replies |= {name: found.of(turns) for name, found in given.items()}
    report = generation_report(turns, replies)
    hand_out(report, output, json=json)


def _prepared(task: TaskSpec, generator: Path | None, turns: RealTurns) -> Speaker:
    """Return the fine-tuned generator on the states and candidates that the data hold."""
    from langgraph_cooper.graph.evaluation.ablations import prepared_speaker
    from langgraph_cooper.graph.evaluation.speakers import FINETUNED_ANNOTATED, Settings
    from langgraph_cooper.graph.training.generator.topics import learned_dialogues
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.load import ranker_loader

    voice = Settings(task, None, CooperContext(), generator).voice
    dialogues = {turn.dialogue.id: turn.dialogue for turn in turns.turns}
    annotated, ranker = annotated_of([*dialogues.values()]), ranker_loader(task)()
    shown = list(learned_dialogues(annotated, task, ranker, seed=0, best_labelled=None))
    return prepared_speaker(FINETUNED_ANNOTATED, voice, annotated, shown)


async def spoken(
    work: Any, speaker: Speaker, turns: RealTurns, kept: Path | None, at_once: int = 1
) -> Replies:
    """Let a system reply at all turns, with a progress bar; `work` is `reply_to_all`."""
    with progress_bar(speaker.name) as progress:
        job = progress.add_task("turns", total=len(turns.turns))
        found: Replies = await work(
            speaker, turns, kept, at_once=at_once, done=lambda n: progress.advance(job, n)
        )
    return found


def _kept(output: Path | None, system: str) -> Path | None:
    return output.with_name(f"{output.stem}.{system}.jsonl") if output else None


def _named_files(outputs: Sequence[str], systems: Sequence[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for pair in outputs:
        name, _, file = (part.strip() for part in pair.partition("="))
        if not name or not file:
            raise typer.BadParameter(f"--outputs wants NAME=FILE, not {pair!r}")
        if name in systems or name in named:
            raise typer.BadParameter(f"--outputs: there is a system {name!r} already; rename it")
        named[name] = Path(file)
    return named


def _tell_meteor(*scores: Mapping[str, float]) -> None:
    from langgraph_cooper.graph.evaluation.meteor import MISSING
    from langgraph_cooper.graph.evaluation.text_metrics import METEOR

    if not all(METEOR in found for found in scores):
        typer.echo(MISSING, err=True)


def hand_out(report: Mapping[str, Any], output: Path | None, *, json: bool) -> None:
    """Write a generation report to a file, if one is named, and print or show it."""
    from langgraph_cooper.ranker.data.jsonl import replacing

    if output:
        with replacing(output) as file:
            file.write(jsonlib.dumps(report, indent=2).encode() + b"\n")
    _tell_meteor(*report["systems"].values())
    if json:
        typer.echo(jsonlib.dumps(report))
    else:
        _show_report(report)


def _show_report(report: Mapping[str, Any]) -> None:
    _table(f"all {report['turns']:,} turns", report["systems"], report["replies"])
    _table("without the openings", report["without_openings"])
    if report["p_values"]:
        _table(f"p against {next(iter(report['systems']))}", report["p_values"])
    if found := report.get("perplexity"):
        rows = {
            name: {"perplexity": value}
            | ({"p": found["p_values"][name]} if name in found["p_values"] else {})
            for name, value in found["systems"].items()
        }
        _table("what was really said", rows)


def _table(
    title: str,
    rows: Mapping[str, Mapping[str, float]],
    more: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    rows = {name: {**found, **(more or {}).get(name, {})} for name, found in rows.items()}
    metrics = dict.fromkeys(metric for found in rows.values() for metric in found)
    table = Table(title, *rows)
    for metric in metrics:
        values = (f"{found[metric]:.4g}" if metric in found else "" for found in rows.values())
        table.add_row(metric, *values)
    PlainConsole().print(table)
