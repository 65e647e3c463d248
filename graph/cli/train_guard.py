"""`cooper train guard`: from lines by many writers to the guard's classifier."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.holding_out import Seed, begun_run, going_on
from langgraph_cooper.graph.cli.options import Lines, Phrases, RealDialogues, names_of
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER

if TYPE_CHECKING:
    from langgraph_cooper.graph.training.crisis import Thresholds
    from langgraph_cooper.graph.training.lines import Line
    from langgraph_cooper.nodes.crisis.classifier import CrisisModel

KEPT = 0.25  # of the real messages: for the thresholds
EVERY = 4  # of so many answers one's examples are kept, too
REAL_WEIGHT = 0.5  # nobody labelled the real messages

Output = Annotated[Path, typer.Option(help="The folder of the classifier.")]
HeldOut = Annotated[
    str, typer.Option(help="Writers whose lines are not opened, with commas between.")
]
Everyday = Annotated[
    list[str] | None,
    typer.Option(help="Tasks; the examples of their prepared answers are harmless messages."),
]
Doubtful = Annotated[
    Path | None,
    typer.Option(help="Such examples that are not harmless for certain, a line each."),
]
ChosenOn = Annotated[
    str,
    typer.Option(
        help="Writers on whom the thresholds are chosen: not learnt from, in place of folds."
    ),
]
Most = Annotated[int, typer.Option(help="Real messages to learn from.", min=0)]
Folds = Annotated[
    int, typer.Option(help="Models that leave writers out, for the thresholds.", min=2)
]
Encoder = Annotated[str, typer.Option(help="Sentence encoder: a hub name or a folder.")]
Epochs = Annotated[float, typer.Option(help="Passes over the messages.", min=0.1, max=1_000)]


def train_guard(
    lines: Lines,
    dialogues: RealDialogues,
    output: Output,
    held_out: HeldOut = "",
    phrases: Phrases = None,
    everyday: Everyday = None,
    doubtful: Doubtful = None,
    chosen_on: ChosenOn = "",
    most: Most = 4_000,
    folds: Folds = 3,
    epochs: Epochs = 4.0,
    encoder: Encoder = DEFAULT_ENCODER,
    seed: Seed = 1,
) -> None:
    """Train the classifier of the safety guard; stopped, it goes on by the same command."""
    # Imported here: it brings torch.
    from langgraph_cooper.graph.training.crisis import (
        leave_writers_out,
        odds_of,
        write_classifier,
    )
    from langgraph_cooper.graph.training.lines import check_lines, read_lines, read_phrases
    from langgraph_cooper.graph.training.rows import writers_apart

    written = read_lines(lines, names_of(held_out))
    known = read_phrases(phrases) if phrases else []
    real = [text for file in dialogues for text in _user_messages(file)]
    usual, usual_kept = _everyday(everyday or [], doubtful)
    learnt, chosen = writers_apart(written, names_of(chosen_on), "--chosen-on")
    check_lines(chosen or written, folds if not chosen else 0)
    others, kept = _real_apart(real, most, seed)
    run = begun_run(
        output, learnt, chosen, known, kept, others, usual, seed, epochs, folds, encoder
    )
    training = _Training(run, known, others, usual, seed, epochs, encoder)
    model = training.learn(learnt, "all")
    if chosen:
        left_out = odds_of(model, [line.text for line in chosen])
    else:
        left_out = leave_writers_out(learnt, training.learn, folds)
    judged = list(zip(chosen or learnt, left_out, strict=True))
    # None of the models learnt from the harmless messages that were kept.
    ordinary = [odds_of(model, texts) for texts in (kept, usual_kept) if texts]
    thresholds = _thresholds(judged, ordinary, with_everyday=bool(chosen))
    write_classifier(model, output, certain=thresholds.certain, concern=thresholds.concern)
    (run / "left_out.json").write_text(json.dumps(left_out), encoding="utf-8")
    found = [odds >= thresholds.concern for line, odds in judged if line.label == "+"]
    typer.echo(
        f"the classifier is in {output}; of lines by writers that were left out it finds "
        f"{sum(found)} of {len(found)} crises; the run in {run} is no longer needed; "
        "train the context model for it by 'cooper train context'"
    )


@dataclass(frozen=True)
class _Training:
    """Trains classifiers that differ in the writers whose lines they learn from.

    Attributes:
        run: Folder of the unfinished run.
        known: Phrases to learn from, too.
        others: Messages of real people.
        usual: Everyday messages.
        seed: Of everything random.
        epochs: Passes over the messages.
        encoder: What reads them.
    """

    run: Path
    known: Sequence[Line]
    others: Sequence[str]
    usual: Sequence[str]
    seed: int
    epochs: float
    encoder: str

    def learn(self, lines: Sequence[Line], name: str) -> CrisisModel:
        """Return a classifier that learnt from these lines, in a part of the run."""
        from langgraph_cooper.graph.training.crisis import train_classifier
        from langgraph_cooper.graph.training.lines import Example, line_examples, variants

        typer.echo(f"{name}: {len(lines)} lines", err=True)
        told = line_examples([*lines, *self.known])
        examples = told + variants(told, self.others, random.Random(self.seed))
        examples += [Example(text, 0.0, weight=REAL_WEIGHT) for text in self.others]
        examples += [Example(text, 0.0) for text in self.usual]
        with going_on(self.run):
            return train_classifier(
                examples, self.run / name, encoder=self.encoder, seed=self.seed, epochs=self.epochs
            )


def _thresholds(
    judged: Sequence[tuple[Line, float]],
    ordinary: Sequence[Sequence[float]],
    *,
    with_everyday: bool,
) -> Thresholds:
    """Choose the thresholds.

    Args:
        judged: Lines of writers who were left out, each with its log-odds.
        ordinary: Log-odds of real and of everyday messages that were left out.
        with_everyday: Whether the writers' everyday lines count, too.
    """
    from langgraph_cooper.graph.training.crisis import choose_thresholds

    traps = [odds for line, odds in judged if line.how == "trap"]
    everyday = [odds for line, odds in judged if with_everyday and line.kind == "everyday"]
    return choose_thresholds(traps, ordinary, everyday)


def _real_apart(real: list[str], most: int, seed: int) -> tuple[list[str], list[str]]:
    """Return real messages to learn from, and those that are kept for the thresholds."""
    from langgraph_cooper.nodes.crisis.phrases import crisis_kind

    random.Random(seed).shuffle(real)
    kept, rest = real[: round(KEPT * len(real))], real[round(KEPT * len(real)) :]
    # Those that the phrases find are mostly crises, which nobody labelled.
    return [text for text in rest if not crisis_kind(text)][:most], kept


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
