"""`cooper train ranker`: from dialogues to a ranker's checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.logging import RichHandler

from langgraph_cooper.graph.cli.dialogues import annotate_into, annotated_of, read_file
from langgraph_cooper.graph.cli.options import Encoder, Task
from langgraph_cooper.graph.cli.terminal import PlainConsole
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.ranker.training.config import TrainConfig

VALID_SHARE = 0.1  # of the dialogues, where no file for choosing the epoch is given


# The options from `seed` on are named as the fields of `TrainConfig`, which holds their defaults.
def train(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Dialogues, annotated or raw.")],
    output: Annotated[Path, typer.Option(help="The folder of the checkpoint.")],
    task: Task = "esc",
    valid: Annotated[
        Path | None, typer.Option(help="Dialogues for choosing the epoch; none: a tenth of data.")
    ] = None,
    preset: Annotated[
        Literal["paper"] | None,
        typer.Option(help="paper: the paper's set-up, where no option says otherwise."),
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Of the split where there is no --valid.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of everything random in the training.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better one.")
    ] = None,
    max_turns: Annotated[int | None, typer.Option(help="Train on so many turns.")] = None,
    turns_per_batch: Annotated[int | None, typer.Option(help="Turns in a step.")] = None,
    objective: Annotated[
        Literal["default", "paper"] | None,
        typer.Option(help="The listwise loss, or the paper's triplet and pointwise ones."),
    ] = None,
    fusion: Annotated[
        Literal["aspect", "paper"] | None, typer.Option(help="How the signals meet the candidates.")
    ] = None,
    form: Annotated[
        Literal["packed", "pairwise"] | None,
        typer.Option(help="All candidates at once, or one by one."),
    ] = None,
    progression: Annotated[
        bool | None,
        typer.Option("--progression/--no-progression", help="With progression signals, or not."),
    ] = None,
    clusters: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Fewest and most target states to try; none: N/50 to N/20."),
    ] = None,
    encoder: Encoder = None,
    transformer: Annotated[
        str | None, typer.Option(help="The Transformer to begin with; none: all-MiniLM-L6-v2.")
    ] = None,
    adapter_rank: Annotated[
        int | None, typer.Option(help="Rank of the low-rank adapters; 0: all weights learn.")
    ] = None,
    freeze_layers: Annotated[
        int | None, typer.Option(help="The Transformer's lowest layers, which stay as they are.")
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(help="Of the Transformer; auto: bfloat16 where the device computes in it."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="auto: CUDA if there is one.")
    ] = None,
    data_note: Annotated[
        str | None, typer.Option("--note", help="For the model card: what the data is.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="For the model card: its terms.")] = None,
) -> None:
    """Train a ranker: annotate raw dialogues, find target states, label, train, save."""
    # Imported here: it brings torch.
    from langgraph_cooper.ranker.training import trainer
    from langgraph_cooper.ranker.training.config import TrainingError

    spec = load_task(task)
    if valid and split_seed:
        raise typer.BadParameter("--split-seed is of the split without --valid: leave one out")
    files = {"task": task, "train": data, "valid": valid or data, "output": output}
    config = _config({**context.params, **files})
    if output.exists():
        raise TrainingError(f"{output} already exists: choose another --output, or remove it")
    annotated = _annotated_files(spec, data, valid, config.work, split_seed)
    config = config.model_copy(update=annotated)
    with _logged():  # the training has a bar of its own
        folder = trainer.train(config)
    typer.echo(f"the checkpoint is in {folder}; talk with it: cooper chat --ranker {folder}")


def _config(given: Mapping[str, Any]) -> TrainConfig:
    """Build the configuration from the options.

    Raises:
        TrainingError: A value is out of range.
    """
    from langgraph_cooper.ranker.training.config import PAPER, TrainConfig, TrainingError
    from langgraph_cooper.ranker.training.losses import Objective

    settings: dict[str, Any] = dict(PAPER) if given.get("preset") == "paper" else {}
    settings |= {n: v for n, v in given.items() if n in TrainConfig.model_fields and v is not None}
    if objective := settings.pop("objective", None):
        settings["objective"] = Objective.paper() if objective == "paper" else Objective()
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "-".join(str(step) for step in first["loc"]).replace("_", "-")
        said = first["msg"].removeprefix("Value error, ")
        raise TrainingError(f"--{name}: {said}" if name else f"--{said}") from None


def _annotated_files(
    task: TaskSpec, data: Path, valid: Path | None, work: Path, split_seed: int
) -> dict[str, Path]:
    """Write the annotated JSONL of both splits; raw dialogues are annotated by offline agents."""
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.data.jsonl import write_annotated
    from langgraph_cooper.ranker.data.splits import split_dialogues
    from langgraph_cooper.ranker.training.setup import check_apart

    sets = {"train": read_file(task, data)}
    if valid:
        sets["valid"] = read_file(task, valid)
        check_apart(sets["train"], sets["valid"], data, valid)  # before the long work
    else:
        shares = (1 - VALID_SHARE, VALID_SHARE)
        sets["train"], sets["valid"] = split_dialogues(sets["train"], shares, seed=split_seed)
        if not sets["valid"] or not sets["train"]:
            raise DataError(
                f"{data} holds too few dialogues ({len(sets['train'])}) to keep a tenth of them "
                "for choosing the epoch: name a file for that with --valid, or bring more"
            )
    work.mkdir(parents=True, exist_ok=True)
    files = {name: work / f"{name}.jsonl" for name in sets}
    for name, dialogues in sets.items():
        if annotated_of(dialogues):
            write_annotated(files[name], dialogues)
        else:
            annotate_into(task, dialogues, files[name])
    return files


@contextmanager
def _logged() -> Iterator[None]:
    """Send the log of the training's stages to standard error."""
    logger = logging.getLogger("langgraph_cooper")
    handler = RichHandler(console=PlainConsole(stderr=True), show_path=False)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
