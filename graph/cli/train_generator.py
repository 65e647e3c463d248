"""`cooper train generator`: from dialogues to a fine-tuned generator."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from langgraph_cooper.graph.cli.dialogues import (
    Part,
    annotate_into,
    annotated_of,
    read_file,
    read_parts,
    tracked_states,
)
from langgraph_cooper.graph.cli.options import Task
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
    from langgraph_cooper.graph.training.generator.train import GeneratorTraining
    from langgraph_cooper.ranker.data.dialogue import Dialogue, Speaker

Data = Annotated[
    list[Path], typer.Option(help="Dialogues, annotated or raw; several files may be given.")
]
Output = Annotated[Path, typer.Option(help="The folder of the checkpoint.")]
Side = Annotated[
    Literal["system", "user"],
    typer.Option(help="The side to learn; user: people to try systems with."),
]
Valid = Annotated[
    Path | None, typer.Option(help="Dialogues for choosing the epoch; none: the last epoch.")
]
BaseModel = Annotated[
    str | None,
    typer.Option(help="A causal or seq2seq model: a folder, a name on the hub, smollm2-135m."),
]
LeaveOut = Annotated[
    list[Path] | None,
    typer.Option(help="Do not learn from this file's dialogues: they are to measure on."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Learn from so many dialogues.")]
Epochs = Annotated[int, typer.Option(min=1, help="At most so many.")]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Learn from so many packed sequences at most.")
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Licence = Annotated[str, typer.Option(help="For the model card: the data's terms.")]


def train_generator(
    data: Data,
    output: Output,
    task: Task = "esc",
    speaker: Side = "system",
    valid: Valid = None,
    base: BaseModel = None,
    leave_out: LeaveOut = None,
    limit: Limit = None,
    epochs: Epochs = 1,
    steps: Steps = None,
    seed: Seed = 1,
    licence: Licence = "",
) -> None:
    """Train a generator, or a simulated user: prepare dialogues, train adapters, save.

    The same command goes on where an earlier one was stopped.
    """
    # Imported here: it brings torch.
    from langgraph_cooper.graph.training.generator import train as training
    from langgraph_cooper.graph.training.generator.card import model_card
    from langgraph_cooper.graph.training.generator.estimate import estimate
    from langgraph_cooper.graph.training.generator.finish import save_generator
    from langgraph_cooper.ranker.model.lora import adapter_tensors
    from langgraph_cooper.ranker.training.config import TrainingError

    spec = load_task(task)
    if output.exists():
        raise TrainingError(f"{output} already exists: choose another --output, or remove it")
    settings = _settings(speaker, base=base, epochs=epochs, steps=steps, seed=seed)
    parts = read_parts(spec, data, leave_out or (), limit)
    held = _held_out(spec, valid, parts)
    training.check_trainable(settings)  # before the long work
    dialogues = _all_of(parts)
    typer.echo(estimate(dialogues, epochs, speaker), err=True)
    run = _begun(output, spec, dialogues, _all_of(held), settings)
    if speaker == "user":
        learned, choosing = _learned_users(spec, parts, held, run)
    else:
        learned = _learned(spec, dialogues, run, "train", seed)
        choosing = _learned(spec, _all_of(held), run, "valid", seed)
    trained, figures = training.train_generator(learned, choosing, run, settings)
    command = _command(
        output, speaker=None if speaker == "system" else speaker, task=task, data=data,
        leave_out=leave_out, valid=valid, base=base, limit=limit, epochs=epochs, steps=steps,
    )  # fmt: skip
    card = model_card(
        task=spec.name, base=settings.base, figures=figures, command=command,
        data=" and ".join(part.file.name for part in parts), licence=licence,
        speaker=speaker,
    )  # fmt: skip
    save_generator(
        output, adapter_tensors(trained.model), task=spec, kind=trained.kind, settings=settings,
        card=card, speaker=speaker,
    )  # fmt: skip
    shutil.rmtree(run, ignore_errors=True)  # another one would go on from it
    typer.echo(_next_step(output, task, speaker))


def _settings(speaker: Speaker, *, base: str | None, **given: Any) -> GeneratorTraining:
    from langgraph_cooper.graph.training.generator.train import GeneratorTraining
    from langgraph_cooper.nodes.finetuned.base import located_base
    from langgraph_cooper.nodes.finetuned.users import USER_BUDGETS

    settings = GeneratorTraining(base=located_base(base), **given)
    return settings.model_copy(update={"budgets": USER_BUDGETS}) if speaker == "user" else settings


def _held_out(task: TaskSpec, valid: Path | None, parts: Sequence[Part]) -> list[Part]:
    """Return the dialogues that choose the epoch, if a file holds some.

    Raises:
        TrainingError: Some of them are learnt from, too.
    """
    from langgraph_cooper.ranker.training.setup import check_apart

    if valid is None:
        return []
    held = read_file(task, valid)
    for part in parts:
        check_apart(part.dialogues, held, part.file, valid)
    return [Part(valid, held)]


def _all_of(parts: Sequence[Part]) -> list[Dialogue]:
    return [each for part in parts for each in part.dialogues]


def _begun(
    output: Path,
    task: TaskSpec,
    dialogues: Sequence[Dialogue],
    held: Sequence[Dialogue],
    settings: GeneratorTraining,
) -> Path:
    """Return the folder of the run, whose earlier work was on the same dialogues.

    Raises:
        DataError: It was on others, or with another setting.
    """
    from langgraph_cooper.graph.training.made_of import check_folder, digest_of, digest_of_task
    from langgraph_cooper.nodes.finetuned.base import base_sha256

    run = output.parent / f".{output.name}-run"
    # What was to be left out may have been learnt from in a run of other dialogues.
    made_of: dict[str, Any] = {"task": digest_of_task(task), "data": digest_of(dialogues)}
    made_of |= {"valid": digest_of(held), "base": base_sha256(settings.base)}
    check_folder(run, made_of | {"setting": settings.model_dump(mode="json")})
    return run


def _command(output: Path, **options: Any) -> str:
    """Return the command for the card. It names files without their folders."""
    words = ["cooper", "train", "generator"]
    for name, value in {**options, "output": output}.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                told = each.name if isinstance(each, Path) else str(each)
                words += [f"--{name.replace('_', '-')}", told]
    return shlex.join(words)


def _next_step(output: Path, task: str, speaker: Speaker) -> str:
    if speaker == "user":
        talk = f"cooper evaluate interactive --user trained --user-adapter {output}"
        return f"the user is in {output}; let it talk: {talk}"
    talk = f"cooper chat --task {task} --generator {output}"
    return f"the generator is in {output}; talk with it: {talk}"


def _learned_users(
    task: TaskSpec, parts: Sequence[Part], held: Sequence[Part], run: Path
) -> tuple[list[LearnedDialogue], list[LearnedDialogue]]:
    """Return the users' turns of training and valid dialogues, with their roles and signs."""
    from langgraph_cooper.graph.training.generator.users import Terciles, learned_users
    from langgraph_cooper.ranker.data.roles import read_roles
    from langgraph_cooper.ranker.training.config import TrainingError

    terciles = Terciles.of([each for part in parts for each in part.dialogues])
    found: list[list[LearnedDialogue]] = []
    for number, part in enumerate((*parts, *held)):
        wanted = {each.id for each in part.dialogues}

        def describe(
            bare: Sequence[Dialogue], number: int = number, wanted: set[str] = wanted
        ) -> dict[str, str]:
            named = [each for each in bare if each.id in wanted]
            return tracked_states(task, named, run / f"users-{number}.jsonl") if named else {}

        roles = {role.id: role for role in read_roles(part.file, task, describe)}
        found.append(list(learned_users(part.dialogues, roles, terciles)))
        typer.echo(
            f"{part.file}: {len(found[-1]):,} of {len(part.dialogues):,} dialogues have a role; up "
            f"to {terciles.lower:.1f} words an utterance are short, over {terciles.upper:.1f} long",
            err=True,
        )
    learned = [each for part in found[: len(parts)] for each in part]
    if not learned:
        raise TrainingError(f"{parts[0].file}: no dialogue says what is the matter with its user")
    return learned, [each for part in found[len(parts) :] for each in part]


def _learned(
    task: TaskSpec, dialogues: Sequence[Dialogue], run: Path, name: str, seed: int
) -> list[LearnedDialogue]:
    """Annotate dialogues and choose each turn's topics; both are kept in the run's folder."""
    from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
    from langgraph_cooper.graph.training.generator.topics import learned_dialogues
    from langgraph_cooper.ranker.data.jsonl import replacing
    from langgraph_cooper.ranker.load import ranker_loader

    if not dialogues:
        return []
    chosen = run / f"{name}-learned.jsonl"
    if chosen.is_file():
        # Not splitlines(), which also splits within a text, at U+2028 and others.
        lines = chosen.read_text(encoding="utf-8").split("\n")
        return [LearnedDialogue.model_validate_json(line) for line in lines if line]
    known = {each.id: each for each in annotated_of(dialogues)}
    if bare := [each for each in dialogues if each.id not in known]:
        file = run / f"{name}.jsonl"
        annotate_into(task, bare, file)
        known |= {each.id: each for each in annotated_of(read_file(task, file))}
    annotated = [known[each.id] for each in dialogues]
    ranker = ranker_loader(task)()
    with progress_bar(f"choosing topics for {name}") as progress:
        job = progress.add_task("dialogues", total=len(annotated))
        learned = list(
            learned_dialogues(
                annotated, task, ranker, seed=seed, done=lambda n: progress.advance(job, n)
            )
        )
    with replacing(chosen) as out:
        for each in learned:
            out.write(each.model_dump_json().encode() + b"\n")
    return learned
