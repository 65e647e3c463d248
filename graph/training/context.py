"""Trains the model that reads messages in their context, and chooses its weight and thresholds."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sklearn.linear_model import LogisticRegression

from langgraph_cooper.graph.training import lines
from langgraph_cooper.graph.training.crisis import choose_thresholds
from langgraph_cooper.graph.training.lines import TARGETS, Line, check_lines
from langgraph_cooper.graph.training.pairs import Example
from langgraph_cooper.graph.training.talks import Said, Talk
from langgraph_cooper.nodes.crisis.classifier import (
    SHIPPED,
    CrisisClassifier,
    read_classifier,
    readable,
    unsure,
)
from langgraph_cooper.nodes.crisis.context import WANTED, ContextForm, Pool, in_context
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.pairs.form import CONFIG, Pair
from langgraph_cooper.nodes.pairs.model import PairReader, read_form
from langgraph_cooper.ranker.data.dialogue import DataError

TALK_WEIGHT, REAL_WEIGHT, UNSURE_WEIGHT = 1.5, 0.5, 0.5  # nobody labelled real messages
WITH_OTHERS = 0.5  # of the single lines come after a harmless conversation of somebody else's
LOST = 0.02
"""Share of the needed questions of the classifier that its pooling with the model may cost."""
MOST_REAL = 4_000  # messages, for the thresholds


def talk_examples(talks: Iterable[Talk]) -> list[Example]:
    """Return what is learnt from marked conversations."""
    return [
        Example(pair, TARGETS[said.mark], UNSURE_WEIGHT if said.mark == "?" else TALK_WEIGHT)
        for talk in talks
        for pair, said in _marked(talk)
    ]


def harmless_examples(conversations: Iterable[Sequence[str]], weight: float = 1.0) -> list[Example]:
    """Return what is learnt from conversations without a crisis.

    What the phrases find is left out: it is mostly a crisis, which nobody labelled.
    """
    return [
        Example(pair, 0.0, weight)
        for said in conversations
        for pair in _pairs(said)
        if not crisis_kind(pair.second)
    ]


def after_others(
    told: Iterable[lines.Example], contexts: Sequence[str], rng: random.Random
) -> list[Example]:
    """Return what is learnt from single lines.

    Half of them come after words of another, harmless conversation: such words clear nothing that
    they do not explain.

    Args:
        told: The lines.
        contexts: What is said before a message in harmless conversations.
        rng: Draws the lines that come after them.
    """
    return [
        Example(
            Pair(rng.choice(contexts or [""]) if rng.random() < WITH_OTHERS else "", each.text),
            each.crisis,
            each.weight,
        )
        for each in told
    ]


def contexts_of(conversations: Iterable[Sequence[str]]) -> list[str]:
    """Return what is said before each message but the first."""
    return [pair.first for said in conversations for pair in _pairs(said) if pair.first]


class Kept(NamedTuple):
    """What the model did not learn from: its weight and thresholds are chosen on it.

    Attributes:
        talks: Marked conversations.
        lines: Single lines.
        real: Conversations of real people, hardly one of whom is in a crisis. The classifier may
            have learnt from some.
    """

    talks: Sequence[Talk]
    lines: Sequence[Line]
    real: Sequence[Sequence[str]]


def check_kept(kept: Kept) -> None:
    """Refuse, before an hour of training, what no weight or threshold can be chosen on.

    Raises:
        DataError: It lacks a kind of message.
    """
    check_lines(kept.lines, 0)
    marks = {said.mark for talk in kept.talks for said in talk.said}
    labels = {line.label for line in kept.lines}
    needed = {
        'conversations with "+" and "-" by the writers of --talks-chosen-on': {"+", "-"} <= marks,
        'lines with "+" by the writers of --lines-chosen-on': "+" in labels,
        "four real conversations": any(readable(text) for said in kept.real for text in said),
    }
    if lacking := [what for what, there in needed.items() if not there]:
        raise DataError(f"weight and thresholds cannot be chosen without {lacking[0]}: add some")


def pooled(
    model: PairReader[ContextForm], kept: Kept, folder: Path = SHIPPED, encoder: str | None = None
) -> Pool:
    """Choose how the model's log-odds are pooled with a classifier's.

    Args:
        model: The trained model.
        kept: What it did not learn from, nor the classifier from the writers' lines.
        folder: The classifier's files.
        encoder: As for `read_classifier`.

    Raises:
        DataError: Neither model tells a "+" from a "-", or the classifier finds no "+".
    """
    alone = read_classifier(folder, encoder=encoder)
    marked = [
        *((pair, said.mark) for talk in kept.talks for pair, said in _marked(talk)),
        *((Pair("", line.text), line.label) for line in kept.lines),
    ]
    told = [(pair, mark == "+") for pair, mark in marked if mark != "?"]
    odds = [(alone.odds(pair.second), float(model.read([pair])[0, 0])) for pair, _ in told]
    fitted = LogisticRegression(C=10.0).fit(odds, [crisis for _, crisis in told])
    weights = fitted.coef_[0].clip(0.0)
    if not weights.sum():
        raise DataError("neither model tells a crisis from none in what the threshold is chosen on")
    share = round(float(weights[1] / weights.sum()), 2)
    pool = Pool(classifier_sha256=alone.config.weights_sha256, share=share)
    model.form = model.form.model_copy(update={"pools": (pool,)})
    both = read_classifier(folder, model, encoder)
    real = [(said[:place], text) for said in kept.real for place, text in enumerate(said)]
    found = choose_thresholds(
        [both.odds(line.text) for line in kept.lines if line.how == "trap"],
        [[both.odds(text, said) for said, text in real[:MOST_REAL] if readable(text)]],
        [both.odds(line.text) for line in kept.lines if line.kind == "everyday"],
    )
    concern = choose_concern(alone, both, kept.talks)
    return pool.model_copy(update={"certain": found.certain, "concern": concern})


def add_pool(folder: Path, pool: Pool) -> None:
    """Write into a context model's form how it is pooled with one more classifier."""
    form = read_form(folder, ContextForm, WANTED)
    others = [each for each in form.pools if each.classifier_sha256 != pool.classifier_sha256]
    form = form.model_copy(update={"pools": (*others, pool)})
    (folder / CONFIG).write_text(form.model_dump_json(indent=2) + "\n", encoding="utf-8")


def choose_concern(
    alone: CrisisClassifier, both: CrisisClassifier, talks: Iterable[Talk], lost: float = LOST
) -> float:
    """Choose the highest threshold by which about as much is found as by the classifier alone.

    Args:
        alone: The classifier.
        both: The same, with the context model.
        talks: Conversations that neither learnt from.
        lost: The share of what the classifier finds that may be lost.

    Returns:
        Pooled log-odds: of the messages that call for a question, come after others and hold no
        phrase, at least 1 - `lost` times as many reach it as the classifier finds.

    Raises:
        DataError: It finds none.
    """
    needed = [
        (talk.texts[:place], said.text)
        for talk in talks
        for place, said in enumerate(talk.said)
        if place and said.mark == "+" and readable(said.text) and not crisis_kind(said.text)
    ]
    found = sum(alone.read(text).tier != "none" for _, text in needed)
    if not found:
        raise DataError("the classifier finds no crisis in what the threshold is chosen on")
    odds = sorted((both.odds(text, said) - unsure(text) for said, text in needed), reverse=True)
    return odds[math.ceil((1 - lost) * found) - 1]


def _marked(talk: Talk) -> Iterable[tuple[Pair, Said]]:
    return zip(_pairs(talk.texts), talk.said, strict=True)


def _pairs(said: Sequence[str]) -> list[Pair]:
    return [in_context(said[:place], text) for place, text in enumerate(said)]
