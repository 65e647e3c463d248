"""`cooper evaluate`: how good a ranker is, beside other rankings of the same turns.

Everything that can be wrong is looked at before the long work begins.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from langgraph_cooper.graph.cli.learn import annotate_into, progress_bar, read_file
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import read_annotated
from langgraph_cooper.ranker.load import ranker_loader, shipped_ablation, shipped_checkpoint

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.llm_ranking import LlmRanking
    from langgraph_cooper.ranker.api import Ranker
    from langgraph_cooper.ranker.evaluation.aspect_prior import RankingPrior
    from langgraph_cooper.ranker.evaluation.baselines import Scores
    from langgraph_cooper.ranker.evaluation.report import MeasuredTurns

SHOWN = ("hit@1", "hit@3", "precision@1", "ndcg@5")
"""The p-values in the table; the JSON has all."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What `cooper evaluate ranking` was asked for; `graph.cli.app` says what each means."""

    task: str
    data: Path
    annotated: bool = False
    ranker: str | None = None
    train: Path | None = None
    valid: Path | None = None
    weight: float | None = None
    without_progression: str | None = None
    others: Sequence[str] = ()
    model: str | None = None
    cache: Path | None = None
    at_once: int = 4
    figures: Path | None = None
    form: str = "png"


def run_evaluation(options: EvaluateOptions, *, as_json: bool) -> None:
    """Measures a ranker on the turns of a file, beside other rankings of the same turns."""
    from langgraph_cooper.ranker.evaluation.report import EVIDENCE, MeasuredTurns, evaluate_rankings
    from langgraph_cooper.ranker.plots import check_plots, draw_report
    from langgraph_cooper.ranker.trained import EvidenceAlone, TrainedRanker

    task = load_task(options.task)
    if options.cache and not options.model:
        raise typer.BadParameter("--cache keeps a chat model's answers: name one with --model")
    if options.figures:
        check_plots(options.figures)
    load, load_others = ranker_loader(task, options.ranker), _others(task, options)
    dialogues = read_file(task, options.data)
    if options.annotated:
        _demand_annotated(options.data, dialogues)
    ranker = load()
    prior = _prior(options, task, ranker)
    others = {name: load_other() for name, load_other in load_others.items()}
    if isinstance(ranker, TrainedRanker) and ranker.model.evidence is not None:
        others = {EVIDENCE: EvidenceAlone(ranker), **others}
    measured = MeasuredTurns.label(_annotated(task, options.data, dialogues), task, ranker.embed)
    given = _asked(measured, options) if options.model else {}
    with progress_bar("ranking") as progress:
        job = progress.add_task("turns", total=None)
        evaluation = evaluate_rankings(
            measured,
            ranker,
            prior,
            others=others,
            given=given,
            progress=lambda done, total: progress.update(job, completed=done, total=total),
        )
    report = evaluation.report()
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _show(report)
    if options.figures:
        for file in draw_report(report, options.figures, form=options.form):
            typer.echo(f"wrote {file}", err=True)


def run_prior(task: TaskSpec, train: Path, valid: Path, ranker: str | None) -> None:
    """Counts and tunes P(aspect | round) + similarity, and keeps it beside a checkpoint."""
    from langgraph_cooper.ranker.evaluation.aspect_prior import FILE, ranking_prior
    from langgraph_cooper.ranker.model.checkpoint import open_checkpoint

    folder = open_checkpoint(ranker or shipped_checkpoint(task) or "").folder
    counted, tuned = read_file(task, train), read_file(task, valid)
    encode = ranker_loader(task, ranker)().embed
    prior = ranking_prior(counted, _annotated(task, valid, tuned), task, encode)
    prior.save(folder)
    assert prior.tuning
    typer.echo(
        f"{folder / FILE}: weight {prior.weight:g}, tuned on {prior.tuning.turns:,} turns; the "
        f"commonest aspect is {prior.commonest}"
    )


def _others(task: TaskSpec, options: EvaluateOptions) -> dict[str, Any]:
    """The loaders of the further rankers, by name."""
    from langgraph_cooper.ranker.evaluation.report import NAMES, WITHOUT_PROGRESSION

    named: dict[str, str] = {}
    ablation = options.without_progression
    if ablation is None and options.ranker is None:  # the shipped ranker meets its own ablation
        ablation = str(shipped_ablation(task) or "")
    if ablation:
        named[WITHOUT_PROGRESSION] = ablation
    for pair in options.others:
        name, _, checkpoint = (part.strip() for part in pair.partition("="))
        if not name or not checkpoint:
            raise typer.BadParameter(f"--others wants NAME=CHECKPOINT, not {pair!r}")
        if name in NAMES or name in named:
            raise typer.BadParameter(f"--others: there is a ranking {name!r} already; rename it")
        named[name] = checkpoint
    return {name: ranker_loader(task, checkpoint) for name, checkpoint in named.items()}


def _demand_annotated(file: Path, dialogues: Sequence[Dialogue]) -> None:
    annotated = [d for d in dialogues if isinstance(d, AnnotatedDialogue) and d.turns]
    if not annotated:
        raise DataError(
            f"{file} is not annotated: run 'cooper annotate' on it first, or leave out --annotated"
        )


def _annotated(
    task: TaskSpec, file: Path, dialogues: Sequence[Dialogue]
) -> list[AnnotatedDialogue]:
    """Annotated dialogues; raw ones are annotated first, by the offline agents."""
    annotated = [d for d in dialogues if isinstance(d, AnnotatedDialogue)]
    if annotated:
        return annotated
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"{file.stem}.jsonl"
        annotate_into(task, dialogues, made, model=None, at_once=2)
        return read_annotated(made)


def _prior(options: EvaluateOptions, task: TaskSpec, ranker: Ranker) -> RankingPrior:
    """P(aspect | round): of --train, else the checkpoint's; its weight: given, tuned, or stored."""
    from langgraph_cooper.ranker.evaluation.aspect_prior import (
        RankingPrior,
        load_prior,
        promoted_turns,
    )
    from langgraph_cooper.ranker.model.checkpoint import CheckpointError

    checkpoint = options.ranker or shipped_checkpoint(task)
    if options.train:
        prior = RankingPrior.count(promoted_turns(read_file(task, options.train), task))
    elif checkpoint is None:
        raise typer.BadParameter(
            f"there is no trained ranker for the task {task.name!r}, which would bring P(aspect | "
            "round) along: pass --train with training dialogues"
        )
    else:
        prior = load_prior(checkpoint, task)
    if options.weight is not None:
        return prior.model_copy(update={"weight": options.weight, "tuning": None})
    if options.valid:
        valid = _annotated(task, options.valid, read_file(task, options.valid))
        return prior.tuned(valid, task, ranker.embed)
    if options.train and checkpoint is not None:
        try:
            stored = load_prior(checkpoint, task)
        except CheckpointError:
            return prior  # with the weight that nobody tuned; the report says so
        return prior.model_copy(update={"weight": stored.weight, "tuning": stored.tuning})
    return prior


def _asked(measured: MeasuredTurns, options: EvaluateOptions) -> dict[str, Scores]:
    """The language model's ranking."""
    from langgraph_cooper.graph.evaluation.llm_ranking import LlmRanking
    from langgraph_cooper.ranker.evaluation.report import LLM

    assert options.model
    ranking = LlmRanking(measured, options.model, options.cache)
    _tell_cost(ranking, options.model, options.cache)
    with progress_bar(f"asking {options.model}") as progress:
        job = progress.add_task("turns", total=ranking.cost().calls)
        asyncio.run(
            ranking.ask(at_once=options.at_once, done=lambda number: progress.advance(job, number))
        )
    if ranking.unanswered:
        typer.echo(
            f"{options.model} named no order in {ranking.unanswered} of {len(measured.turns)} "
            "turns; their candidates keep the order in which they were proposed",
            err=True,
        )
    return {LLM: ranking.scores()}


def _tell_cost(ranking: LlmRanking, model: str, cache: Path | None) -> None:
    cost = ranking.cost()
    kept = f"kept in {cache}" if cache else "not kept; --cache FILE would keep them"
    typer.echo(
        f"{cost.calls:,} calls of {model}: about {cost.prompt_tokens:,} tokens to read and "
        f"{cost.answer_tokens:,} to write, at four characters a token; the answers are {kept}",
        err=True,
    )


def _show(report: dict[str, Any]) -> None:
    figures = Table("ranking", "hit@1..5", "precision@1..5", "nDCG@5")
    for name, found in report["rankings"].items():
        series = (found["hit"], found["precision"], [found["ndcg@5"]])
        figures.add_row(name, *(" ".join(_short(v, 2) for v in values) for values in series))
    p_values = Table("p of cooper against", *SHOWN)
    for name, values in report["p_values"].items():
        p_values.add_row(name, *(_short(values[metric], 4) for metric in SHOWN))
    console = Console()
    console.print(figures, p_values)
    console.print("\n".join(_remarks(report)), markup=False, highlight=False)


def _short(value: float, digits: int) -> str:
    """Without the zero before the point."""
    return f"{value:.{digits}f}".removeprefix("0")


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
        f"{report['bootstrap']['samples']:,} resamples.",
        f"Commonest aspect: {report['commonest_aspect']}. Weight of the similarity beside the "
        f"prior: {weight['value']:g} ({origin}).",
        f"Distance of the first choices' aspects from the real ones, by round: {distances}.",
    ]
