"""`cooper train guard`: from lines by many writers to the guard's classifier."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.holding_out import Seed, going_on, names_of, run_folder
from langgraph_cooper.prompts import load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.training.lines import Line
    from langgraph_cooper.nodes.crisis.classifier import CrisisModel

KEPT = 0.25  # of the real messages: for the thresholds
EVERY = 4  # of so many answers one's examples are kept, too
REAL_WEIGHT = 0.5  # nobody labelled the real messages


def train_guard(
    lines: Annotated[Path, typer.Option(help="A folder of lines, one .tsv file per writer.")],
    dialogues: Annotated[
        list[Path],
        typer.Option(help="Conversations whose users are hardly ever in a crisis (ESConv, P4G)."),
    ],
    output: Annotated[Path, typer.Option(help="The folder of the classifier.")],
    held_out: Annotated[
        str, typer.Option(help="Writers whose lines are not opened, with commas between.")
    ] = "",
    phrases: Annotated[
        Path | None, typer.Option(help="More to learn from: a corpus of phrases (.toml).")
    ] = None,
    everyday: Annotated[
        list[str] | None,
        typer.Option(help="Tasks; the examples of their prepared answers are harmless messages."),
    ] = None,
    doubtful: Annotated[
        Path | None,
        typer.Option(help="Such examples that are not harmless for certain, a line each."),
    ] = None,
    chosen_on: Annotated[
        str,
        typer.Option(
            help="Writers on whom the thresholds are chosen: not learnt from, in place of folds."
        ),
    ] = "",
    most: Annotated[int, typer.Option(help="Real messages to learn from.", min=0)] = 4_000,
    folds: Annotated[
        int, typer.Option(help="Models that leave writers out, for the thresholds.", min=2)
    ] = 3,
    epochs: Annotated[
        float, typer.Option(help="Passes over the messages.", min=0.1, max=1_000)
    ] = 4.0,
    seed: Seed = 1,
) -> None:
    """Train the classifier of the safety guard; stopped, it goes on by the same command."""
    # Imported here: it brings torch.
    from langgraph_cooper.graph.training.crisis import (
        choose_thresholds,
        leave_writers_out,
        odds_of,
        train_classifier,
        write_classifier,
    )
    from langgraph_cooper.graph.training.lines import (
        Example,
        check_lines,
        line_examples,
        read_lines,
        read_phrases,
        variants,
    )
    from langgraph_cooper.graph.training.rows import writers_apart
    from langgraph_cooper.nodes.crisis.phrases import crisis_kind

    written = read_lines(lines, names_of(held_out))
    known = read_phrases(phrases) if phrases else []
    real = [text for file in dialogues for text in _user_messages(file)]
    usual, usual_kept = _everyday(everyday or [], doubtful)
    learnt, chosen = writers_apart(written, names_of(chosen_on), "--chosen-on")
    check_lines(chosen or written, folds if not chosen else 0)
    rng = random.Random(seed)
    rng.shuffle(real)
    kept = real[: round(KEPT * len(real))]
    # Those that the phrases find are mostly crises, which nobody labelled.
    others = [text for text in real[len(kept) :] if not crisis_kind(text)][:most]
    run = run_folder(output, learnt, chosen, known, kept, others, usual, seed, epochs, folds)

    def learn(some: Sequence[Line], name: str) -> CrisisModel:
        typer.echo(f"{name}: {len(some)} lines", err=True)
        rng = random.Random(seed)
        told = line_examples([*some, *known])
        examples = told + variants(told, others, rng)
        examples += [Example(text, 0.0, weight=REAL_WEIGHT) for text in others]
        examples += [Example(text, 0.0) for text in usual]
        with going_on(run):
            return train_classifier(examples, run / name, seed=seed, epochs=epochs)

    model = learn(learnt, "all")
    if chosen:
        left_out = odds_of(model, [line.text for line in chosen])
    else:
        chosen, left_out = learnt, leave_writers_out(learnt, learn, folds)
    traps = [odds for odds, line in zip(left_out, chosen, strict=True) if line.how == "trap"]
    # None of the models learnt from the harmless messages that were kept.
    ordinary_odds = [odds_of(model, texts) for texts in (kept, usual_kept) if texts]
    everyday_odds = [
        odds
        for odds, line in zip(left_out, chosen, strict=True)
        if chosen_on and line.kind == "everyday"
    ]
    thresholds = choose_thresholds(traps, ordinary_odds, everyday_odds)
    write_classifier(model, output, certain=thresholds.certain, concern=thresholds.concern)
    (run / "left_out.json").write_text(json.dumps(left_out), encoding="utf-8")
    found = [
        odds >= thresholds.concern
        for odds, line in zip(left_out, chosen, strict=True)
        if line.label == "+"
    ]
    typer.echo(
        f"the classifier is in {output}; of lines by writers that were left out it finds "
        f"{sum(found)} of {len(found)} crises; the run in {run} is no longer needed; "
        "train the context model for it by 'cooper train context'"
    )


def _everyday(tasks: Sequence[str], doubtful: Path | None) -> tuple[list[str], list[str]]:
    """Return everyday messages to learn from, and those of every fourth answer, which are kept."""
    from langgraph_cooper.ranker.data.jsonl import read_text

    # Not splitlines(), which also splits within a text, at U+2028 and others.
    out = set(read_text(doubtful).split("\n")) if doubtful else set()
    answers = [answer for task in tasks for answer in load_task(task).answers]
    learnt: list[str] = []
    kept: list[str] = []
    for place, answer in enumerate(answers):
        part = learnt if place % EVERY else kept
        part += [text for text in answer.heard if text not in out]
    return learnt, kept


def _user_messages(file: Path) -> list[str]:
    dialogues = read_file(load_task("esc"), file)
    return [said.text for each in dialogues for said in each.utterances if said.speaker == "user"]
