"""`cooper evaluate ablations`: what each part of COOPER is worth to the fine-tuned generator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_cooper.graph.cli.dialogues import annotate_into, annotated_of, read_file
from langgraph_cooper.graph.cli.evaluate_text import hand_out, spoken
from langgraph_cooper.graph.cli.options import AsJson, Task, names_of
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.generation import Replies
    from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
    from langgraph_cooper.graph.training.generator.topics import Part
    from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
    from langgraph_cooper.ranker.api import Ranker
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, Dialogue

TRAIN, VALID, REPORT = "train.jsonl", "valid.jsonl", "report.json"


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
    from langgraph_cooper.graph.evaluation.ablations import (
        annotated_turns,
        prepared_speaker,
        working_in,
    )
    from langgraph_cooper.graph.evaluation.generation import (
        RealTurns,
        generation_report,
        reply_to_all,
    )
    from langgraph_cooper.graph.evaluation.perplexity import (
        Surprise,
        perplexity_report,
        surprise,
    )
    from langgraph_cooper.graph.training.generator.estimate import estimate
    from langgraph_cooper.graph.training.made_of import digest_of, digest_of_task
    from langgraph_cooper.nodes.finetuned.base import DEFAULT_BASE
    from langgraph_cooper.ranker.training.setup import check_apart

    spec = load_task(task)
    chosen = [None, *_parts(parts)]
    base = base or DEFAULT_BASE
    made_of: dict[str, Any] = {"task": digest_of_task(spec), "seed": seed, **_base(base)}
    rankers, known_rankers = _rankers(spec, chosen, without_progression)
    dialogues = read_file(spec, data)[:limit]
    held = read_file(spec, valid)
    check_apart(dialogues, held, data, valid)
    made_of |= known_rankers | {"data": digest_of(dialogues), "valid": digest_of(held)}
    real = RealTurns.of(held, spec).first(turns)
    typer.echo(f"{len(chosen)} trainings of {estimate(dialogues, 1)} each", err=True)
    replies: dict[str, Replies] = {}
    surprises: dict[str, Surprise] = {}
    with working_in(output, made_of):
        known = _annotated(spec, dialogues, {each.id for each in dialogues}, output / TRAIN)
        shown = _annotated(spec, held, {turn.dialogue.id for turn in real.turns}, output / VALID)
        real = annotated_turns(real, shown)
        for without in chosen:
            variant = _Variant(spec, output, without, rankers[without], base, seed, data.name)
            voice = variant.trained(known)
            prepared = variant.turns(shown)
            speaker = prepared_speaker(variant.name, voice, shown, prepared)
            said, costs = (output / f"{variant.slug}.{kept}.jsonl" for kept in ("replies", "costs"))
            replies[variant.name] = asyncio.run(spoken(reply_to_all, speaker, real, said))
            with progress_bar(f"{variant.name}: what was really said") as progress:
                job = progress.add_task("turns", total=len(real.turns))
                surprises[variant.name] = surprise(
                    voice, shown, prepared, real, costs, done=partial(progress.advance, job)
                )
        report = generation_report(real, replies)
        report["perplexity"] = perplexity_report(real, surprises)
        hand_out(report, output / REPORT, json=json)


@dataclass(frozen=True)
class _Variant:
    task: TaskSpec
    output: Path
    without: Part | None
    load_ranker: Callable[[], Ranker]
    base: str
    seed: int
    data: str

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
        from langgraph_cooper.nodes.finetuned.checkpoint import CONFIG, open_voice
        from langgraph_cooper.ranker.model.lora import adapter_tensors

        folder = self.output / self.slug
        if (folder / CONFIG).is_file():  # the last file that is written
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
            task=self.task.name, base=self.base, figures=figures,
            data=f"{self.data}, for an ablation ({self.name}): it is no generator to talk with",
            command=f"cooper evaluate ablations --task {self.task.name} --data {self.data} "
            f"--limit {len(dialogues)} --seed {self.seed} ...",
        )  # fmt: skip
        save_generator(
            folder, adapter_tensors(base.model), task=self.task, kind=base.kind,
            settings=settings, card=card,
        )  # fmt: skip
        return open_voice(folder)


def _parts(named: str) -> list[Part]:
    from langgraph_cooper.graph.evaluation.ablations import PARTS

    given = list(dict.fromkeys(names_of(named)))
    found = [part for part in PARTS if part in given]
    if unknown := sorted(set(given) - set(found)):
        raise typer.BadParameter(
            f"--parts: there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}"
        )
    return found


def _base(base: str) -> dict[str, str | None]:
    """Check, before the long work, that the base and what runs it are there."""
    from langgraph_cooper.nodes.finetuned.base import (
        INSTALL,
        PACKAGE,
        base_sha256,
        check_base,
        missing_parts,
    )
    from langgraph_cooper.nodes.finetuned.errors import VoiceMissing

    check_base(base)
    # The default base's own package is needed for that base alone.
    if missing := [part for part in missing_parts() if part != PACKAGE]:
        raise VoiceMissing(f"{', '.join(missing)} is missing: {INSTALL}")
    return {"base": base, "base_sha256": base_sha256(base)}


def _rankers(
    task: TaskSpec, chosen: Sequence[Part | None], without_progression: str | None
) -> tuple[dict[Part | None, Callable[[], Ranker]], dict[str, str]]:
    """Return what loads each variant's ranker, and the rankers' hashes."""
    from langgraph_cooper.ranker.load import (
        ranker_loader,
        shipped_ablation,
        shipped_checkpoint,
    )
    from langgraph_cooper.ranker.model.checkpoint import WEIGHTS, open_checkpoint
    from langgraph_cooper.ranker.model.encoder import file_sha256
    from langgraph_cooper.ranker.training.config import TrainingError

    own = shipped_checkpoint(task)
    found = dict.fromkeys(chosen, ranker_loader(task))
    hashes = {"ranker": file_sha256(own / WEIGHTS) if own else "untrained"}
    if "progression" in chosen:
        name = without_progression or shipped_ablation(task)
        if name is None:
            raise TrainingError(
                f"no ranker without progression is shipped for the task {task.name!r}: train one "
                "with `cooper train ranker --no-progression` and pass --without-progression "
                "FOLDER, or leave it out of --parts"
            )
        other = open_checkpoint(name)
        if other.config.progression:
            raise TrainingError(
                f"the ranker {other.folder} reads progression signals: name one that was trained "
                "with --no-progression"
            )
        found["progression"] = ranker_loader(task, other.folder)
        hashes["ranker without progression"] = file_sha256(other.folder / WEIGHTS)
    return found, hashes


def _annotated(
    task: TaskSpec, dialogues: Sequence[Dialogue], wanted: Set[str], file: Path
) -> list[AnnotatedDialogue]:
    """Return the wanted dialogues with their annotation, made in a file where they lack it."""
    from langgraph_cooper.graph.annotation.annotate import unfinished

    found = {each.id: each for each in annotated_of(dialogues)}
    if bare := [each for each in dialogues if each.id not in found]:
        missing = {each.id for each in unfinished(bare, task, file)}
        known = {each.id for each in bare} - missing
        asked = [each for each in bare if each.id in wanted | known]
        if asked:
            annotate_into(task, asked, file)
            found |= {each.id: each for each in annotated_of(read_file(task, file))}
    return [found[each.id] for each in dialogues if each.id in wanted and each.id in found]
