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
    from langgraph_cooper.ranker.data.dialogue import Dialogue


def train_generator(
    data: Annotated[
        list[Path], typer.Option(help="Dialogues, annotated or raw; several files may be given.")
    ],
    output: Annotated[Path, typer.Option(help="The folder of the checkpoint.")],
    task: Task = "esc",
    speaker: Annotated[
        Literal["system", "user"],
        typer.Option(help="The side to learn; user: people to try systems with."),
    ] = "system",
    valid: Annotated[
        Path | None, typer.Option(help="Dialogues for choosing the epoch; none: the last epoch.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="A causal or seq2seq model: a folder, a name on the hub, smollm2-135m."),
    ] = None,
    leave_out: Annotated[
        list[Path] | None,
        typer.Option(help="Do not learn from this file's dialogues: they are to measure on."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Learn from so many dialogues.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Learn from so many packed sequences at most.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    licence: Annotated[str, typer.Option(help="For the model card: the data's terms.")] = "",
) -> None:
    """Train a generator, or a simulated user: prepare dialogues, train adapters, save.

    The same command goes on where an earlier one was stopped.
    """
    # Imported here: it brings torch.
    from langgraph_cooper.graph.training.generator import train as training
    from langgraph_cooper.graph.training.generator.card import model_card
    from langgraph_cooper.graph.training.generator.estimate import estimate
    from langgraph_cooper.graph.training.generator.finish import save_generator
    from langgraph_cooper.graph.training.made_of import check_folder, digest_of, digest_of_task
    from langgraph_cooper.nodes.finetuned.base import base_sha256, located_base
    from langgraph_cooper.nodes.finetuned.users import USER_BUDGETS
    from langgraph_cooper.ranker.model.lora import adapter_tensors
    from langgraph_cooper.ranker.training.config import TrainingError
    from langgraph_cooper.ranker.training.setup import check_apart

    spec = load_task(task)
    if output.exists():
        raise TrainingError(f"{output} already exists: choose another --output, or remove it")
    settings = training.GeneratorTraining(
        base=located_base(base), epochs=epochs, seed=seed, steps=steps
    )
    if speaker == "user":
        settings = settings.model_copy(update={"budgets": USER_BUDGETS})
    parts = read_parts(spec, data, leave_out or (), limit)
    dialogues = [each for part in parts for each in part.dialogues]
    held = read_file(spec, valid) if valid else []
    if valid:
        for part in parts:
            check_apart(part.dialogues, held, part.file, valid)
    training.check_trainable(settings)  # before the long work
    typer.echo(estimate(dialogues, epochs, speaker), err=True)
    run = output.parent / f".{output.name}-run"
    # What was to be left out may have been learnt from in a run of other dialogues.
    made_of: dict[str, Any] = {"task": digest_of_task(spec), "data": digest_of(dialogues)}
    made_of |= {"valid": digest_of(held), "base": base_sha256(settings.base)}
    check_folder(run, made_of | {"setting": settings.model_dump(mode="json")})
    if speaker == "user":
        learned, choosing = _learned_users(spec, parts, [Part(valid, held)] if valid else [], run)
    else:
        learned = _learned(spec, dialogues, run, "train", seed)
        choosing = _learned(spec, held, run, "valid", seed)
    trained, figures = training.train_generator(learned, choosing, run, settings)
    options: dict[str, Any] = {"--speaker": None if speaker == "system" else speaker}
    options |= {"--task": task, "--data": [file.name for file in data]}
    options |= {"--leave-out": [file.name for file in leave_out or ()]}
    options |= {"--valid": valid and valid.name, "--base": base, "--limit": limit}
    options |= {"--epochs": epochs, "--steps": steps}
    command = shlex.join(
        ["cooper", "train", "generator", *_given(options), "--output", output.name]
    )
    card = model_card(
        task=spec.name, base=settings.base, figures=figures, command=command,
        data=" and ".join(part.file.name for part in parts), licence=licence,
        speaker=speaker,
    )  # fmt: skip
    save_generator(
        output, adapter_tensors(trained.model), task=spec, kind=trained.kind, settings=settings,
        card=card, speaker=speaker,
    )  # fmt: skip
    talk = f"talk with it: cooper chat --task {task} --generator {output}"
    if speaker == "user":
        talk = f"let it talk: cooper evaluate interactive --user trained --user-adapter {output}"
    shutil.rmtree(run, ignore_errors=True)  # another one would go on from it
    typer.echo(f"the {'user' if speaker == 'user' else 'generator'} is in {output}; {talk}")


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


def _given(options: dict[str, Any]) -> list[str]:
    given = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            given += [] if each is None else [name, str(each)]
    return given


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
