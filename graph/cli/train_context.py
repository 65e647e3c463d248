"""`cooper train context`: from marked conversations to the model that reads them as a whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.holding_out import Seed, begun_run, going_on
from langgraph_cooper.graph.cli.options import Lines, Phrases, RealDialogues, names_of
from langgraph_cooper.prompts import load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.training.lines import Line
    from langgraph_cooper.graph.training.pairs import Example
    from langgraph_cooper.graph.training.talks import Talk
    from langgraph_cooper.nodes.crisis.context import Pool

KEPT = 0.25  # of the real conversations: for the thresholds


def train_context(
    talks: Annotated[
        Path, typer.Option(help="A folder of marked conversations, one .tsv file per writer.")
    ],
    lines: Lines,
    dialogues: RealDialogues,
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    talks_chosen_on: Annotated[
        str,
        typer.Option(help="Writers of conversations on whom weight and thresholds are chosen."),
    ],
    lines_chosen_on: Annotated[
        str, typer.Option(help="Writers of lines for the same. None of both is learnt from.")
    ],
    held_out: Annotated[
        str, typer.Option(help="Writers whose files are not opened, with commas between.")
    ] = "",
    harmless: Annotated[
        list[Path] | None,
        typer.Option(help='More harmless conversations: "# NAME", then a message in each line.'),
    ] = None,
    phrases: Phrases = None,
    most: Annotated[int, typer.Option(help="Real messages to learn from.", min=0)] = 5_000,
    thresholds_only: Annotated[
        bool,
        typer.Option(
            "--thresholds-only",
            help="Learn nothing: choose weight and thresholds of the model in --output.",
        ),
    ] = False,
    classifier: Annotated[
        Path | None,
        typer.Option(help="The guard's classifier that they are for; none: the shipped one."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Folder or hub name of that classifier's encoder.")
    ] = None,
    epochs: Annotated[
        float, typer.Option(help="Passes over the messages.", min=0.1, max=1_000)
    ] = 2.0,
    seed: Seed = 1,
) -> None:
    """Train the model by which the guard reads messages in their context; stopped, it goes on."""
    # Imported here: it brings torch.
    from langgraph_cooper.graph.training.adapting import write_pair_model
    from langgraph_cooper.graph.training.context import Kept, add_pool, check_kept, pooled
    from langgraph_cooper.graph.training.lines import read_lines, read_phrases
    from langgraph_cooper.graph.training.pairs import RATE, train_pair_model
    from langgraph_cooper.graph.training.rows import check_names, writers_apart
    from langgraph_cooper.graph.training.talks import read_harmless, read_talks
    from langgraph_cooper.nodes.crisis.classifier import SHIPPED
    from langgraph_cooper.nodes.crisis.context import ContextForm, read_context_model

    out = names_of(held_out)
    files = [file for folder in (talks, lines) for file in folder.glob("*.tsv")]
    check_names(out, [file.stem.split("_")[0] for file in files], "--held-out")
    learnt, chosen = writers_apart(
        read_talks(talks, out), names_of(talks_chosen_on), "--talks-chosen-on"
    )
    written, chosen_lines = writers_apart(
        read_lines(lines, out), names_of(lines_chosen_on), "--lines-chosen-on"
    )
    known = read_phrases(phrases) if phrases else []
    told = [said for file in harmless or [] for said in read_harmless(file)]
    real = [said for file in dialogues for said in _users(file)]
    rng = random.Random(seed)
    rng.shuffle(real)
    kept, others = real[: round(KEPT * len(real))], real[round(KEPT * len(real)) :]
    left = Kept(chosen, chosen_lines, kept)
    check_kept(left)
    belongs = (classifier or SHIPPED, encoder)
    if thresholds_only:
        pool = pooled(read_context_model(output), left, *belongs)
        add_pool(output, pool)
        return _tell(output, pool)
    examples = _examples(learnt, told, others, [*written, *known], most, rng)
    run = begun_run(output, examples, seed, epochs, RATE)
    typer.echo(f"{len(examples):,} messages to learn from", err=True)
    with going_on(run):
        model = train_pair_model(ContextForm(), examples, run, seed=seed, epochs=epochs)
        typer.echo("choosing the weight and the thresholds ...", err=True)
        write_pair_model(model, run / "model")
        pool = pooled(read_context_model(run / "model"), left, *belongs)
    write_pair_model(model, output, pools=(pool,))
    return _tell(output, pool, f"; the run in {run} is no longer needed")


def _tell(folder: Path, pool: Pool, more: str = "") -> None:
    typer.echo(
        f"the model is in {folder}; it has a share of {pool.share} in the guard's log-odds, from "
        f"which a crisis is certain at {pool.certain:.2f} and a concern at {pool.concern:.2f}{more}"
    )


def _examples(
    talks: Sequence[Talk],
    harmless: Sequence[Sequence[str]],
    real: Sequence[Sequence[str]],
    lines: Sequence[Line],
    most: int,
    rng: random.Random,
) -> list[Example]:
    """Return what is learnt from."""
    from langgraph_cooper.graph.training.context import (
        REAL_WEIGHT,
        after_others,
        contexts_of,
        harmless_examples,
        talk_examples,
    )
    from langgraph_cooper.graph.training.lines import line_examples, variants
    from langgraph_cooper.nodes.crisis.phrases import crisis_kind

    single = line_examples(lines)
    ordinary = [text for said in real for text in said if not crisis_kind(text)]
    messages = harmless_examples(real, REAL_WEIGHT)
    contexts = contexts_of([*real, *harmless, *(t.texts for t in talks if t.theme == "harmless")])
    return [
        *talk_examples(talks),
        *harmless_examples(harmless),
        *rng.sample(messages, min(most, len(messages))),
        *after_others([*single, *variants(single, ordinary, rng)], contexts, rng),
    ]


def _users(file: Path) -> list[list[str]]:
    return [
        [said.text for said in each.utterances if said.speaker == "user"]
        for each in read_file(load_task("esc"), file)
    ]
