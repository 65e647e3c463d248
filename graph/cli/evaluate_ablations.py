"""`cooper evaluate ablations`: what each part of COOPER is worth to the fine-tuned generator."""

from __future__ import annotations

import asyncio
import hashlib
import json as jsonlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_cooper.graph.cli.dialogues import annotate_into, annotated_of, read_file
from langgraph_cooper.graph.cli.evaluate_text import show_report, spoken
from langgraph_cooper.graph.cli.options import AsJson, Task
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.generation import Replies
    from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
    from langgraph_cooper.graph.training.generator.topics import Part
    from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
    from langgraph_cooper.ranker.api import Ranker
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, Dialogue

TRAIN, VALID, MADE_OF, REPORT = "train.jsonl", "valid.jsonl", "made-of.json", "report.json"


def ablations(
    data: Annotated[Path, typer.Option(help="Dialogues to train on, annotated or raw.")],
    valid: Annotated[Path, typer.Option(help="Dialogues to reply in.")],
    output: Annotated[Path, typer.Option(help="A folder for all that is made.")],
    task: Task = "esc",
    parts: Annotated[
        str, typer.Option(help="Parts to do without, each in a variant of its own.")
    ] = "coordination,progression,promoter,tracker",
    limit: Annotated[int, typer.Option(min=1, help="Train on so many dialogues.")] = 400,
    turns: Annotated[int, typer.Option(min=1, help="Reply at the first N turns.")] = 600,
    base: Annotated[
        str | None, typer.Option(help="As for `cooper train generator --base`.")
    ] = None,
    without_progression: Annotated[
        str | None, typer.Option(help="A ranker without progression signals, if not the shipped.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    json: AsJson = False,
) -> None:
    """Train the complete pipeline's generator and one for each ablation; score all (Table 3).

    Each learns the same conversations once and says its most typical sample. Given again, the
    command goes on: generators and replies that are in the folder are kept.
    """
    # Imported here: it brings torch.
    from langgraph_cooper.graph.evaluation.ablations import ablated_speaker, name_of
    from langgraph_cooper.graph.evaluation.generation import (
        RealTurns,
        generation_report,
        reply_to_all,
    )
    from langgraph_cooper.graph.training.generator.estimate import estimate
    from langgraph_cooper.nodes.finetuned.base import DEFAULT_BASE, check_base
    from langgraph_cooper.ranker.data.jsonl import replacing
    from langgraph_cooper.ranker.training.setup import check_apart

    spec = load_task(task)
    chosen = [None, *_parts(parts)]
    rankers = _rankers(spec, chosen, without_progression)
    base = base or DEFAULT_BASE
    check_base(base)
    dialogues = read_file(spec, data)[:limit]
    held = read_file(spec, valid)
    check_apart(dialogues, held, data, valid)
    real = RealTurns.of(held, spec).first(turns)
    measured = {turn.dialogue.id for turn in real.turns}
    typer.echo(f"{len(chosen)} trainings of {estimate(dialogues, 1)} each", err=True)
    _begin(output, {"task": spec.name, "base": base, "seed": seed}, dialogues)
    known = _annotated(spec, dialogues, output / TRAIN)
    shown = _annotated(spec, [each for each in held if each.id in measured], output / VALID)
    replies: dict[str, Replies] = {}
    for without in chosen:
        variant = _Variant(spec, output, without, rankers[without], base, seed)
        voice = variant.trained(known)
        speaker = ablated_speaker(variant.name, voice, variant.turns(shown))
        kept = output / f"{variant.slug}.replies.jsonl"
        replies[name_of(without)] = asyncio.run(spoken(reply_to_all, speaker, real, kept))
    report = generation_report(real, replies)
    with replacing(output / REPORT) as file:
        file.write(jsonlib.dumps(report, indent=2).encode() + b"\n")
    if json:
        typer.echo(jsonlib.dumps(report))
    else:
        show_report(report)


@dataclass(frozen=True)
class _Variant:
    task: TaskSpec
    output: Path
    without: Part | None
    load_ranker: Callable[[], Ranker]
    base: str
    seed: int

    @property
    def name(self) -> str:
        from langgraph_cooper.graph.evaluation.ablations import name_of

        return name_of(self.without)

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")

    def turns(
        self, dialogues: Sequence[AnnotatedDialogue], best_labelled: float | None = None
    ) -> list[LearnedDialogue]:
        """Return what each turn shows, to learn from or (None) to reply at."""
        from langgraph_cooper.graph.training.generator.topics import learned_dialogues

        with progress_bar(f"{self.name}: choosing topics") as progress:
            job = progress.add_task("dialogues", total=len(dialogues))
            return list(
                learned_dialogues(
                    dialogues, self.task, self.load_ranker(), seed=self.seed,
                    best_labelled=best_labelled, without=self.without,
                    done=lambda number: progress.advance(job, number),
                )
            )  # fmt: skip

    def trained(self, dialogues: Sequence[AnnotatedDialogue]) -> VoiceCheckpoint:
        """Return the variant's generator, trained now unless it is there."""
        from langgraph_cooper.graph.evaluation.ablations import budgets_of
        from langgraph_cooper.graph.training.generator.card import model_card
        from langgraph_cooper.graph.training.generator.finish import save_generator
        from langgraph_cooper.graph.training.generator.topics import BEST_LABELLED
        from langgraph_cooper.graph.training.generator.train import (
            GeneratorTraining,
            train_generator,
        )
        from langgraph_cooper.nodes.finetuned.checkpoint import open_voice
        from langgraph_cooper.ranker.model.lora import adapter_tensors

        folder = self.output / self.slug
        if folder.exists():
            return open_voice(folder)
        learned = self.turns(dialogues, BEST_LABELLED)
        settings = GeneratorTraining(
            base=self.base, seed=self.seed, budgets=budgets_of(self.without, learned, self.task.k)
        )
        run = self.output / f".{self.slug}-run"
        run.mkdir(exist_ok=True)
        typer.echo(f"training: {self.name}", err=True)
        base, figures = train_generator(learned, [], run, settings)
        card = model_card(
            task=self.task.name, base=self.base, figures=figures, data=TRAIN,
            command=f"cooper evaluate ablations --task {self.task.name} --data {TRAIN} "
            f"--limit {len(dialogues)} --seed {self.seed} ...",
        )  # fmt: skip
        save_generator(
            folder, adapter_tensors(base.model), task=self.task, kind=base.kind,
            settings=settings, card=card,
        )  # fmt: skip
        return open_voice(folder)


def _parts(named: str) -> list[Part]:
    from langgraph_cooper.graph.evaluation.ablations import PARTS

    given = list(dict.fromkeys(part.strip() for part in named.split(",") if part.strip()))
    found = [part for part in PARTS if part in given]
    if unknown := sorted(set(given) - set(found)):
        raise typer.BadParameter(
            f"--parts: there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}"
        )
    return found


def _rankers(
    task: TaskSpec, chosen: Sequence[Part | None], without_progression: str | None
) -> dict[Part | None, Callable[[], Ranker]]:
    """Return what loads each variant's ranker: the shipped one, or one without progression."""
    from langgraph_cooper.ranker.load import ranker_loader, shipped_ablation
    from langgraph_cooper.ranker.training.config import TrainingError

    found = dict.fromkeys(chosen, ranker_loader(task))
    if "progression" in chosen:
        other = without_progression or shipped_ablation(task)
        if other is None:
            raise TrainingError(
                f"no ranker without progression is shipped for the task {task.name!r}: train one "
                "with `cooper train ranker --no-progression` and pass --without-progression "
                "FOLDER, or leave it out of --parts"
            )
        found["progression"] = ranker_loader(task, other)
    return found


def _begin(output: Path, made_of: dict[str, Any], dialogues: Sequence[Dialogue]) -> None:
    """Make the folder, or check that it was made with the same settings and conversations."""
    from langgraph_cooper.ranker.data.dialogue import DataError, fingerprint
    from langgraph_cooper.ranker.data.jsonl import replacing

    said = "".join(fingerprint(dialogue) for dialogue in dialogues)
    made_of = {**made_of, "data": hashlib.sha256(said.encode()).hexdigest()}
    file = output / MADE_OF
    output.mkdir(parents=True, exist_ok=True)
    if file.exists():
        if jsonlib.loads(file.read_text(encoding="utf-8")) != made_of:
            raise DataError(
                f"{output} was made with another task, base, seed or other dialogues: choose "
                "another --output"
            )
        return
    if any(output.iterdir()):
        raise DataError(f"{output} holds something else: choose another --output")
    with replacing(file) as out:
        out.write(jsonlib.dumps(made_of, indent=2).encode() + b"\n")


def _annotated(
    task: TaskSpec, dialogues: Sequence[Dialogue], file: Path
) -> list[AnnotatedDialogue]:
    """Return dialogues with their annotation, which is made in a file where they lack it."""
    found = annotated_of(dialogues)
    if len(found) < len(dialogues):
        annotate_into(task, dialogues, file)
        found = annotated_of(read_file(task, file))
    return found
