"""`cooper evaluate ranking`: how good a ranker is, beside other rankings of the same turns.

Everything that can be wrong is checked before the long work begins.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import annotated_of, annotated_or_made, read_file
from langgraph_cooper.graph.cli.options import AsJson, Deadline, Form, MaxCalls, Task
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.graph.cli.terminal import PlainConsole, short
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.llm_ranking import LlmRanking
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.api import Ranker
    from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior
    from langgraph_cooper.ranker.evaluation.baselines import Scores
    from langgraph_cooper.ranker.evaluation.given_scores import ScoreFile
    from langgraph_cooper.ranker.evaluation.report import MeasuredTurns
    from langgraph_cooper.ranker.model.calibration import Calibration

SHOWN = ("hit@1", "hit@3", "precision@1", "ndcg@5")
"""The p-values in the table; the JSON has all."""

Data = Annotated[Path, typer.Option(help="Dialogues to measure on, annotated or raw.")]
Insist = Annotated[bool, typer.Option("--annotated", help="Insist that the data is annotated.")]
Measured = Annotated[
    str | None, typer.Option(help="A checkpoint; none: the one shipped for the task.")
]
Train = Annotated[
    Path | None,
    typer.Option(help="Count P(aspect | round) here; none: as stored with the checkpoint."),
]
Valid = Annotated[
    Path | None, typer.Option(help="Tune the similarity's weight here; none: as stored.")
]
Weight = Annotated[
    float | None,
    typer.Option(min=0, max=1e6, help="Of the similarity beside P(aspect | round), as given."),
]
WithoutProgression = Annotated[
    str | None, typer.Option(help="Trained without progression; none: the shipped one.")
]
Others = Annotated[
    list[str] | None, typer.Option(help="NAME=CHECKPOINT to compare with; may be repeated.")
]
Scored = Annotated[
    list[str] | None,
    typer.Option(help="NAME=FILE, scores of another program as JSONL; may be repeated."),
]
Model = Annotated[str | None, typer.Option(help="A chat model that shall rank, too.")]
Cache = Annotated[Path | None, typer.Option(help="A file that keeps the chat model's answers.")]
AtOnce = Annotated[int, typer.Option(min=1, help="Calls of the chat model at a time.")]
Coordination = Annotated[
    Literal["off", "calibrated"] | None,
    typer.Option(help="Of the ranker's first choices; none: as in a conversation."),
]
Strength = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Of calibrated coordination; none: the calibration's."),
]
LabelsEncoder = Annotated[
    str | None,
    typer.Option(help="Sentence encoder of the labels; none: the measured ranker's own."),
]
Drawn = Annotated[Path | None, typer.Option(help="A folder for the figures and the report.")]
TurnsFile = Annotated[
    Path | None, typer.Option(help="A new file for a JSON line of each measured turn.")
]


def ranking(
    data: Data,
    task: Task = "esc",
    annotated: Insist = False,
    ranker: Measured = None,
    train: Train = None,
    valid: Valid = None,
    weight: Weight = None,
    without_progression: WithoutProgression = None,
    others: Others = None,
    scores: Scored = None,
    model: Model = None,
    cache: Cache = None,
    at_once: AtOnce = 4,
    deadline: Deadline = 300,
    max_calls: MaxCalls = None,
    coordination: Coordination = None,
    strength: Strength = None,
    labels_encoder: LabelsEncoder = None,
    figures: Drawn = None,
    form: Form = "png",
    turns: TurnsFile = None,
    json: AsJson = False,
) -> None:
    """Compare the ranker with other rankings of the same turns."""
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.evaluation.by_turn import write_turns
    from langgraph_cooper.ranker.evaluation.report import EVIDENCE, MeasuredTurns, evaluate_rankings
    from langgraph_cooper.ranker.load import ranker_loader
    from langgraph_cooper.ranker.model.encoder import load_encoder
    from langgraph_cooper.ranker.plots import draw_report
    from langgraph_cooper.ranker.trained import EvidenceAlone, TrainedRanker

    spec = load_task(task)
    if cache and not model:
        raise typer.BadParameter("--cache keeps a chat model's answers: name one with --model")
    if coordination == "off" and strength is not None:
        raise typer.BadParameter("--strength is that of calibrated coordination: leave one out")
    _check_outputs(figures, turns)
    load = ranker_loader(spec, ranker)
    loaders = _other_loaders(spec, ranker, without_progression, others or ())
    files = _score_files(scores or (), loaders)
    dialogues = read_file(spec, data)
    if annotated and not any(dialogue.turns for dialogue in annotated_of(dialogues)):
        raise DataError(
            f"{data} is not annotated: run 'cooper annotate' on it first, or leave out --annotated"
        )
    measured_ranker = load()
    known: Calibration | None = getattr(measured_ranker, "calibration", None)
    if known is None and (coordination == "calibrated" or strength is not None):
        raise typer.BadParameter(
            f"the ranker {measured_ranker.name!r} has no calibration: make one with 'cooper "
            "evaluate calibration', or leave out --coordination and --strength"
        )
    prior = _prior(spec, measured_ranker, ranker, train=train, valid=valid, weight=weight)
    compared = {name: load_other() for name, load_other in loaders.items()}
    if isinstance(measured_ranker, TrainedRanker) and measured_ranker.model.evidence is not None:
        compared = {EVIDENCE: EvidenceAlone(measured_ranker), **compared}
    encode = load_encoder(labels_encoder).encode if labels_encoder else measured_ranker.embed
    measured = MeasuredTurns.label(annotated_or_made(spec, data, dialogues), spec, encode)
    given = {name: file.of(measured) for name, file in files.items()}
    if model:
        limits = CooperContext(deadline=deadline, max_calls=max_calls)
        given = {**_asked(measured, model, cache, at_once, limits), **given}
    with progress_bar("ranking") as progress:
        job = progress.add_task("turns", total=None)
        evaluation = evaluate_rankings(
            measured,
            measured_ranker,
            prior,
            others=compared,
            given=given,
            strength=known.used(coordination, strength) if known else None,
            progress=lambda done, total: progress.update(job, completed=done, total=total),
        )
    report = evaluation.report() | {"labels_encoder": labels_encoder or "the ranker's"}
    _show(report, json=json)
    written = draw_report(report, figures, form=form) if figures else []
    if turns:
        write_turns(turns, evaluation)
        written.append(turns)
    for file in written:
        typer.echo(f"wrote {file}", err=True)


def _other_loaders(
    task: TaskSpec, ranker: str | None, without_progression: str | None, others: Sequence[str]
) -> dict[str, Callable[[], Ranker]]:
    """Return the loaders of the rankers to compare with, by name."""
    from langgraph_cooper.ranker.evaluation.report import WITHOUT_PROGRESSION
    from langgraph_cooper.ranker.load import ranker_loader, shipped_ablation

    named: dict[str, str] = {}
    if without_progression is None and ranker is None:  # the shipped ranker has its own ablation
        without_progression = str(shipped_ablation(task) or "")
    if without_progression:
        named[WITHOUT_PROGRESSION] = without_progression
    named |= _named("--others", "CHECKPOINT", others, named)
    return {name: ranker_loader(task, checkpoint) for name, checkpoint in named.items()}


def _score_files(pairs: Sequence[str], taken: Iterable[str]) -> dict[str, ScoreFile]:
    """Read the files of `--scores`, by name."""
    from langgraph_cooper.ranker.evaluation.given_scores import ScoreFile

    named = _named("--scores", "FILE", pairs, taken)
    return {name: ScoreFile.read(file) for name, file in named.items()}


def _named(option: str, what: str, pairs: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Split an option's NAME=VALUE pairs; a name is neither taken nor one of the report's own."""
    from langgraph_cooper.ranker.evaluation.report import GROUND_TRUTH, NAMES

    used = {*taken, *NAMES, GROUND_TRUTH}
    named: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise typer.BadParameter(f"{option} wants NAME={what}, not {pair!r}")
        if name in used:
            raise typer.BadParameter(
                f"{option} {pair}: there is a ranking {name!r} already; rename it"
            )
        used.add(name)
        named[name] = value
    return named


def _check_outputs(figures: Path | None, turns: Path | None) -> None:
    """Create the folders of the figures and of the file of turns, which must be new.

    Raises:
        PlotError: Figures cannot be drawn, or their folder cannot be made.
        DataError: The file exists, or its folder cannot be made.
    """
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.plots import check_plots

    if figures:
        check_plots(figures)
    if turns is None:
        return
    if turns.exists():
        raise DataError(f"{turns} already exists: choose another --turns, or remove it")
    try:
        turns.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {turns.parent} cannot be made: {error.strerror}") from None


def _prior(
    task: TaskSpec,
    measured: Ranker,
    ranker: str | None,
    *,
    train: Path | None,
    valid: Path | None,
    weight: float | None,
) -> AspectPrior:
    """Return P(aspect | round), counted or stored, with a weight that is given, tuned or stored."""
    from langgraph_cooper.ranker.evaluation.aspect_prior import (
        AspectPrior,
        load_prior,
        promoted_turns,
    )
    from langgraph_cooper.ranker.load import shipped_checkpoint
    from langgraph_cooper.ranker.model.checkpoint import CheckpointError

    checkpoint = ranker or shipped_checkpoint(task)
    if train:
        prior = AspectPrior.count(promoted_turns(read_file(task, train), task))
    elif checkpoint is None:
        raise typer.BadParameter(
            f"there is no trained ranker for the task {task.name!r}, which would bring P(aspect | "
            "round) along: pass --train with training dialogues"
        )
    else:
        prior = load_prior(checkpoint, task)
    if weight is not None:
        return prior.model_copy(update={"weight": weight, "tuning": None})
    if valid:
        annotated = annotated_or_made(task, valid, read_file(task, valid))
        return prior.tuned(annotated, task, measured.embed)
    if train and checkpoint is not None:
        try:
            stored = load_prior(checkpoint, task)
        except CheckpointError:
            return prior  # with a weight that was not tuned; the report says so
        return prior.model_copy(update={"weight": stored.weight, "tuning": stored.tuning})
    return prior


def _asked(
    measured: MeasuredTurns, model: str, cache: Path | None, at_once: int, limits: CooperContext
) -> dict[str, Scores]:
    """Let a chat model rank, and return its scores."""
    from langgraph_cooper.graph.evaluation.llm_ranking import LlmRanking
    from langgraph_cooper.ranker.evaluation.report import LLM

    ranking = LlmRanking(measured, model, cache, limits)
    _tell_cost(ranking, model, cache)
    with progress_bar(f"asking {model}") as progress:
        job = progress.add_task("turns", total=ranking.cost().calls)
        asyncio.run(ranking.ask(at_once=at_once, done=lambda number: progress.advance(job, number)))
    if ranking.unanswered:
        typer.echo(
            f"{model} named no order in {ranking.unanswered} of {len(measured.turns)} "
            "turns; their candidates keep the order in which they were proposed",
            err=True,
        )
    return {LLM: ranking.scores()}


def _tell_cost(ranking: LlmRanking, model: str, cache: Path | None) -> None:
    cost = ranking.cost()
    kept = f"kept in {cache}" if cache else "not kept; --cache FILE would keep them"
    typer.echo(
        f"{cost.calls:,} calls of {model}: about {cost.tokens_in:,} tokens to read and "
        f"{cost.tokens_out:,} to write, at four characters a token; the answers are {kept}",
        err=True,
    )


def _show(report: dict[str, Any], *, json: bool) -> None:
    if json:
        typer.echo(jsonlib.dumps(report))
        return
    figures = Table("ranking", "hit@1..5", "precision@1..5", "nDCG@5")
    for name, found in report["rankings"].items():
        series = (found["hit"], found["precision"], [found["ndcg@5"]])
        figures.add_row(name, *(" ".join(short(v, 2) for v in values) for values in series))
    p_values = Table("p of cooper against", *SHOWN)
    for name, values in report["p_values"].items():
        p_values.add_row(name, *(short(values[metric], 4) for metric in SHOWN))
    console = PlainConsole()
    console.print(figures, p_values)
    if found := report.get("coordination"):
        console.print(_trade(found["trade"]))
    console.print("\n".join(_remarks(report)), markup=False, highlight=False)


def _trade(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the trade of calibrated coordination, beside dice at the same distance."""
    metrics = ("distance", "within", "precision@1", "hit@1", "hit@3", "ndcg@5")
    table = Table("strength", *metrics, "dice's precision@1", "p", title="calibrated coordination")
    for row in rows:
        dice = row.get("dice")
        beside = (short(dice["precision@1"], 3), short(dice["p"], 4)) if dice else ("-", "-")
        table.add_row(f"{row['strength']:g}", *(short(row[m], 3) for m in metrics), *beside)
    return table


def _remarks(report: dict[str, Any]) -> list[str]:
    skipped = ", ".join(f"{count:,} {why}" for why, count in report["skipped"].items() if count)
    weight = report["similarity_weight"]
    if not weight["tuned"]:
        origin = "not tuned"
    else:
        origin = f"tuned on {weight['tuned_on_turns']:,} turns"
        if known := weight["measured_among_them"]:
            origin += f"; {known:,} of the dialogues measured here were among them"
    distances = ", ".join(f"{name} {value:.3f}" for name, value in report["distances"].items())
    return [
        f"{report['turns']:,} turns of {report['dialogues']:,} dialogues; left out: "
        f"{skipped or 'none'}.",
        "p: two-sided, by a paired bootstrap over dialogues with "
        f"{report['bootstrap']['samples']:,} resamples, uncorrected; --json has Holm's correction.",
        f"Encoder of the labels: {report['labels_encoder']}.",
        f"Commonest aspect: {report['commonest_aspect']}. Weight of the similarity beside the "
        f"prior: {weight['value']:g} ({origin}).",
        f"Distance of the first choices' aspects from the real ones, by round: {distances}.",
    ]
