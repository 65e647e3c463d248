"""`cooper evaluate judge` and `cooper evaluate conversations`: who did better."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.options import AsJson, Deadline, MaxCalls, names_of
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.graph.cli.talks import keep_input, read_talks, read_words
from langgraph_cooper.graph.cli.terminal import PlainConsole, tell
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.judging.judge import Judge, Matter
    from langgraph_cooper.graph.evaluation.kept import KeptRows
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.data.dialogue import Dialogue
    from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior

Only = Annotated[str, typer.Option(help="Systems to compare, by commas; none: all.")]
OfFile = Annotated[str | None, typer.Option(help="The task; none: the file's, or esc.")]
TOKENS_OF_A_CALL = 1_500
"""Tokens of a judge's prompt, about: two conversations of ten rounds."""


def judge(
    model: Annotated[str, typer.Option(help="The chat model that judges, at temperature 0.")],
    file: Annotated[
        Path | None, typer.Argument(help="Conversations of 'cooper evaluate interactive'.")
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(help="People's ratings to compare the judge with; Muffin's: a file a rater."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Keeps the answers, to go on; none: beside the file, '.judged.jsonl'."),
    ] = None,
    systems: Only = "",
    task: OfFile = None,
    at_once: Annotated[int, typer.Option(min=1, max=100, help="Calls at a time.")] = 4,
    deadline: Deadline = 300,
    max_calls: MaxCalls = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the estimate.")] = False,
    json: AsJson = False,
) -> None:
    """Let a chat model compare conversations in pairs, or compare it with people's ratings."""
    from langgraph_cooper.nodes.context import CooperContext

    if (file is None) == (not calibrate):
        raise typer.BadParameter("name a file of conversations, or ratings with --calibrate")
    limits = CooperContext(deadline=deadline, max_calls=max_calls)
    if calibrate:
        told, failed = _calibrated(model, calibrate, output, task, at_once, limits, dry_run=dry_run)
    else:
        assert file
        told, failed = _judged(model, file, output, systems, task, at_once, limits, dry_run=dry_run)
    if json:
        typer.echo(jsonlib.dumps(told))
    elif not dry_run:
        _show_calibration(told) if calibrate else _show_judged(told)
    if failed:
        raise typer.Exit(1)  # the report counts them, and a script must know to ask again


def _judged(
    model: str, file: Path, output: Path | None, systems: str, task: str | None, at_once: int,
    limits: CooperContext, *, dry_run: bool,
) -> tuple[dict[str, Any], int]:  # fmt: skip
    """Judge; return the report and the number of questions left unasked."""
    from langgraph_cooper.graph.evaluation.judging.dimensions import OUTCOMES
    from langgraph_cooper.graph.evaluation.judging.outcome import Outcomes
    from langgraph_cooper.graph.evaluation.judging.pairs import paired
    from langgraph_cooper.graph.evaluation.judging.report import (
        judged_report,
        matters_of,
        outcomes_compared,
    )
    from langgraph_cooper.nodes.llm.models import chat_model

    keep_input(output, "--output", [file])
    spec, rows, _ = read_words(file, task)
    only = names_of(systems)
    found = paired(rows, only)
    kept = _kept(output or file.with_suffix(".judged.jsonl"), model, spec)
    chat = chat_model(model, 0)
    asking = _judge(spec, chat, kept, limits)
    matters = matters_of(found.pairs, spec)
    has_outcome = spec.name in OUTCOMES
    ends = [row for row in rows if has_outcome and (not only or row.system in only)]
    outcomes = Outcomes(spec, chat, kept, limits)
    calls = asking.waiting(matters) + len(outcomes.waiting(ends))
    _tell(calls, model, f"{len(found.pairs):,} pairs")

    async def run() -> int:
        with progress_bar(f"asking {model}") as progress:
            job = progress.add_task("answers", total=calls)

            def done(number: int) -> None:
                progress.advance(job, number)

            failed = await asking.ask(matters, at_once=at_once, done=done)
            return failed + await outcomes.ask(ends, at_once=at_once, done=done)

    failed = 0 if dry_run else asyncio.run(run())
    _tell_failed(failed, model)
    told = {"judge": model, "answers": str(kept.file), **judged_report(found, asking, spec)}
    if has_outcome:
        told["outcomes"] = outcomes.report(ends)
        told["outcomes_compared"] = outcomes_compared(found, outcomes)
    return told, failed


def _calibrated(
    model: str, files: Sequence[Path], output: Path | None, task: str | None, at_once: int,
    limits: CooperContext, *, dry_run: bool,
) -> tuple[dict[str, Any], int]:  # fmt: skip
    """Calibrate; return the report and the number of questions left unasked."""
    from langgraph_cooper.graph.evaluation.judging.ratings import read_ratings
    from langgraph_cooper.graph.evaluation.judging.trust import (
        calibrating_matters,
        calibration_report,
    )
    from langgraph_cooper.nodes.llm.models import chat_model

    keep_input(output, "--output", files)
    spec = load_task(task or "esc")
    rated = read_ratings(files)
    matters = calibrating_matters(rated, spec)
    kept = _kept(output or files[0].with_suffix(".judged.jsonl"), model, spec)
    asking = _judge(spec, chat_model(model, 0), kept, limits)
    calls = asking.waiting(matters)
    _tell(calls, model, f"{len(matters):,} ratings")
    failed = 0 if dry_run else asyncio.run(_asked(asking, matters, calls, model, at_once))
    _tell_failed(failed, model)
    report = calibration_report(rated, matters, asking)
    return {"judge": model, "task": spec.name, **report}, failed


async def _asked(
    asking: Judge, matters: Sequence[Matter], calls: int, model: str, at_once: int
) -> int:
    with progress_bar(f"asking {model}") as progress:
        job = progress.add_task("answers", total=calls)
        return await asking.ask(
            matters, at_once=at_once, done=lambda number: progress.advance(job, number)
        )


def _kept(file: Path, model: str, task: TaskSpec) -> KeptRows:
    from langgraph_cooper.graph.evaluation.interactive.recording import model_at
    from langgraph_cooper.graph.evaluation.interactive.rows import digest
    from langgraph_cooper.graph.evaluation.judging.judge import JUDGEMENTS
    from langgraph_cooper.graph.evaluation.kept import KeptRows
    from langgraph_cooper.prompts.task import shared_prompt

    asked = digest(shared_prompt("judge"), shared_prompt("outcome"))
    settings = {"judge": model_at(model, 0).identity, "task": task.name, "prompts": asked}
    return KeptRows(file, JUDGEMENTS, settings)


def _judge(task: TaskSpec, chat: Any, kept: KeptRows, limits: CooperContext) -> Judge:
    from langgraph_cooper.graph.evaluation.judging.judge import Judge

    return Judge(task, chat, kept, limits)


def _tell(calls: int, model: str, what: str) -> None:
    typer.echo(
        f"{what}: {calls:,} calls of {model}, about {calls * TOKENS_OF_A_CALL:,} tokens", err=True
    )


def _tell_failed(failed: int, model: str) -> None:
    if failed:
        typer.echo(
            f"{model} did not answer {failed:,} questions; the same command asks them again",
            err=True,
        )


def conversations(
    file: Annotated[Path, typer.Argument(help="Conversations of 'cooper evaluate interactive'.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Real dialogues with strategies; none: as counted with the ranker."),
    ] = None,
    systems: Only = "",
    task: OfFile = None,
    output: Annotated[Path | None, typer.Option(help="A file for the report.")] = None,
    json: AsJson = False,
) -> None:
    """Measure conversations without a judge: aspects over rounds, answers, repetition, ends."""
    from langgraph_cooper.graph.evaluation.judging.measures import (
        MEASURES,
        WORDLESS,
        measured_report,
    )
    from langgraph_cooper.graph.evaluation.judging.pairs import paired
    from langgraph_cooper.graph.evaluation.judging.users import user_figures
    from langgraph_cooper.ranker.data.jsonl import replacing

    keep_input(output, "--output", [file, *([data] if data else [])])
    spec, rows, redacted = read_talks(file, task)
    only = names_of(systems)
    rows = [row for row in rows if not only or row.system in only]
    several = len({row.system for row in rows}) > 1
    found = paired(rows, only) if several or only else None
    real = read_file(spec, data) if data else []
    measures = WORDLESS if redacted else MEASURES
    told = measured_report(spec, rows, found, _people(spec, real), measures)
    told["users"] = user_figures([] if redacted else rows, real)
    if output:
        with replacing(output) as stream:
            stream.write(jsonlib.dumps(told, indent=2).encode() + b"\n")
    if json:
        typer.echo(jsonlib.dumps(told))
    else:
        _show_measured(told)


def _people(task: TaskSpec, real: Sequence[Dialogue]) -> AspectPrior | None:
    """Return P(aspect | round) of real dialogues, or as the shipped ranker brings it."""
    from langgraph_cooper.ranker.evaluation.aspect_prior import (
        AspectPrior,
        load_prior,
        promoted_turns,
    )
    from langgraph_cooper.ranker.load import shipped_checkpoint

    if real:
        return AspectPrior.count(promoted_turns(real, task))
    shipped = shipped_checkpoint(task)
    return load_prior(shipped, task) if shipped else None


def _show_judged(told: Mapping[str, Any]) -> None:
    console = PlainConsole()
    for each in told["compared"]:
        one, other = each["systems"]
        table = Table(
            "dimension", one, other, "ties", "flips", "unjudged", "roles", "p", "p (Holm)",
            title=f"{one} against {other}, {each['pairs']:,} pairs",
        )  # fmt: skip
        for name, row in each["dimensions"].items():
            unjudged = row["refused"] + row["unreadable"] + row["unasked"]
            counts = (row["wins"], row["losses"], row["ties"], row["flips"], unjudged)
            roles = f"{row['roles_won']}:{row['roles_lost']}"
            table.add_row(name, *map(str, counts), roles, f"{row['p']:.4f}", f"{row['p_holm']:.4f}")
        console.print(table)
        _tell_left_out(each)
    if "outcomes" in told:
        console.print(_outcomes(told["outcomes"]))
        for each in told["outcomes_compared"]:
            console.print(_outcomes_compared(each))


def _outcomes(outcomes: Mapping[str, Any]) -> Table:
    table = Table("system", "said yes", "mean sum", "pressed (1 to 5)", "unknown")
    for name, row in outcomes.items():
        yes = f"{row['said_yes']} of {row['known']}"
        means = ("-" if row[key] is None else f"{row[key]:g}" for key in ("mean_amount", "pressed"))
        table.add_row(name, yes, *means, str(row["conversations"] - row["known"]))
    return table


def _outcomes_compared(each: Mapping[str, Any]) -> Table:
    one, other = each["systems"]
    table = Table(
        "outcome", one, other, "ties", "unknown", "roles", "p", "p (Holm)",
        title=f"{one} against {other}, {each['pairs']:,} pairs by outcome",
    )  # fmt: skip
    for name, row in each["measures"].items():
        counts = (str(row[key]) for key in ("wins", "losses", "ties", "unknown"))
        roles = f"{row['roles_won']}:{row['roles_lost']}"
        table.add_row(
            f"{name} ({row['better']} is better)", *counts, roles,
            f"{row['p']:.4f}", f"{row['p_holm']:.4f}",
        )  # fmt: skip
    return table


def _tell_left_out(each: Mapping[str, Any]) -> None:
    for why, number in each["left_out"].items():
        tell(f"{' against '.join(each['systems'])}: {number:,} pairs left out: {why}", err=True)


def _show_calibration(told: Mapping[str, Any]) -> None:
    names = ("judged", "agreement", "kappa", "against", "raters", "flips", "unreadable", "refused")
    table = Table("dimension", *names, title=f"{told['judge']} beside people")
    for name, row in told["dimensions"].items():
        table.add_row(name, *("-" if row[key] is None else f"{row[key]:g}" for key in names))
    console = PlainConsole()
    console.print(table)
    position, length = told["position"], told["length"]
    people = length["people"]
    console.print(
        f"chose the first {position['first']} and the second {position['second']} times "
        f"(p {position['p']:.4f}); the longer won {length['longer']} and the shorter "
        f"{length['shorter']} times (p {length['p']:.4f}), with people {people['longer']} and "
        f"{people['shorter']} times (p {people['p']:.4f})",
        highlight=False,
    )
    if told["by_place"]:
        console.print("this judge goes by the place: its verdicts say little", highlight=False)


def _show_measured(told: Mapping[str, Any]) -> None:
    from langgraph_cooper.graph.evaluation.judging.measures import MEASURES

    table = Table("system", "conversations", "measured", *MEASURES, "distance from people")
    for name, row in told["systems"].items():
        found = told["by_round"]["systems"].get(name, {}).get("distance")
        values = [*(row[measure] for measure in MEASURES), found]
        shown = ("-" if value is None else f"{value:.3g}" for value in values)
        table.add_row(name, str(row["conversations"]), str(row["measured"]), *shown)
    console = PlainConsole()
    console.print(table)
    for each in told["compared"]:
        one, other = each["systems"]
        compared = Table("measure", "difference", "95 %", "roles", "p", "p (Holm)",
                         title=f"{one} minus {other}, {each['pairs']:,} pairs")  # fmt: skip
        for name, row in each["measures"].items():
            interval = row["interval"]  # None: one role tells nothing of others
            compared.add_row(
                name, f"{row['difference']:.3g}",
                "-" if interval is None else "{:.3g} to {:.3g}".format(*interval),
                f"{row['higher']}:{row['lower']}", f"{row['p']:.4f}", f"{row['p_holm']:.4f}",
            )  # fmt: skip
        console.print(compared)
        _tell_left_out(each)
    for name, aspects in told["progress"].items():
        if ends := {aspect: row["end"] for aspect, row in aspects.items()}:
            shown_ends = ", ".join(f"{aspect} {end}" for aspect, end in ends.items())
            console.print(
                f"progress at the end, by the pipeline's own opinion: {name}: {shown_ends}"
            )
    names = ("utterances", "words", "distinct", "thanks", "question", "other_side")
    users = Table("users", *names)
    for name, row in told["users"].items():
        users.add_row(name, *("-" if row[key] is None else f"{row[key]:.3g}" for key in names))
    console.print(users)
