"""What a training turn shows: states, and the pipeline's own top-K topics or the best-labelled."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, LearnedTurn
from langgraph_cooper.nodes.finetuned.format import TopicLine
from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.api import Ranker, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, AnnotatedTurn, Utterance
from langgraph_cooper.ranker.data.labels import Encode, rank_labels

BEST_LABELLED = 0.5  # of the turns show the best-labelled topics, the others the ranker's
Part = Literal["coordination", "progression", "promoter", "tracker"]
"""A part of COOPER that an ablation does without (paper, Table 3).

Without coordination all candidates are shown, in the agents' order; without the promoter no topic
is; without the tracker no state is. Without progression the ranker that is given has none.
"""

UNTOLD = frozenset({"Self-disclosure"})
"""Strategies whose utterances are not learnt: a machine has lived nothing that it could tell."""


def learned_dialogues(
    dialogues: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    ranker: Ranker,
    *,
    seed: int,
    best_labelled: float | None = BEST_LABELLED,
    without: Part | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Iterator[LearnedDialogue]:
    """Yield conversations with the topics of each turn to learn from.

    With the best-labelled topics alone, a model would trust what the pipeline seldom offers; with
    the pipeline's alone, a topic says so little about the reply that it would be ignored.

    Args:
        dialogues: Annotated conversations.
        task: Maps strategies to aspects.
        ranker: Ranks the candidates, and encodes texts for the labels.
        seed: Of the draw of turns.
        best_labelled: Share of turns with the best-labelled topics. None: for an evaluation, every
            turn, also those that are not learnt from, with the pipeline's topics.
        without: The part of an ablation.
        done: Called with the number of conversations just finished.
    """
    rng = random.Random(seed)
    for dialogue in dialogues:
        history = dialogue.history()
        evaluates = best_labelled is None
        turns = [turn for turn in dialogue.turns if evaluates or learns(dialogue, turn)]
        shown = [rng.random() < (best_labelled or 0.0) for _ in turns]
        _embed_together(ranker.embed, dialogue, turns)
        learned = []
        for turn, labelled in zip(turns, shown, strict=True):
            topics: tuple[TopicLine, ...] = ()
            if without == "coordination":
                topics = top_topics(turn, range(len(turn.candidates)), len(turn.candidates))
            elif without != "promoter":
                if labelled:
                    order = labelled_order(turn, dialogue, task, ranker.embed)
                else:
                    order = ranked_order(turn, history[: turn.index], task, ranker)
                topics = top_topics(turn, order, task.k)
            states = {} if without == "tracker" else turn.states
            learned.append(LearnedTurn(index=turn.index, states=states, topics=topics))
        done(1)
        if learned:
            yield LearnedDialogue(utterances=tuple(history), turns=tuple(learned))


def learns(dialogue: AnnotatedDialogue, turn: AnnotatedTurn) -> bool:
    """Return whether a turn's utterance is one to learn from."""
    return UNTOLD.isdisjoint(dialogue.utterances[turn.index].strategies) and bool(turn.candidates)


def top_topics(turn: AnnotatedTurn, order: Iterable[int], k: int) -> tuple[TopicLine, ...]:
    """Return the first k distinct topics in an order of the candidates."""
    found: dict[str, TopicLine] = {}
    for place in order:
        candidate = turn.candidates[place]
        line = TopicLine(candidate.strategy, candidate.topic)
        found.setdefault(candidate.topic.casefold(), line)
    return tuple(found.values())[:k]


def ranked_order(
    turn: AnnotatedTurn, history: Sequence[Utterance], task: TaskSpec, ranker: Ranker
) -> list[int]:
    """Return the candidates' places as the pipeline ranks them, best first."""
    signals = {
        name: ranker.progression(name, turn.states.get(name, "")).signal
        for name in task.aspect_names
    }
    topics = [ScoredTopic(c.aspect, c.topic) for c in turn.candidates]
    scores = ranker.score(history, topics, signals)
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def labelled_order(
    turn: AnnotatedTurn, dialogue: AnnotatedDialogue, task: TaskSpec, encode: Encode
) -> list[int]:
    """Return the candidates' places by their pseudo-labels, best first.

    An utterance without a known strategy has the similarity alone.
    """
    said = dialogue.utterances[turn.index]
    promoted = task.promoted_by(said.strategies)
    reply = encode([said.text])[0]  # [n_d]
    similarity = encode([c.topic for c in turn.candidates]) @ reply  # [n]
    hits = np.array([candidate.aspect in promoted for candidate in turn.candidates])
    labels = rank_labels(hits, similarity)
    return [int(place) for place in np.argsort(-labels)]


def _embed_together(
    encode: Encode, dialogue: AnnotatedDialogue, turns: Sequence[AnnotatedTurn]
) -> None:
    """Encode a conversation's texts in one batch: the encoder's cache then holds them."""
    texts = [text for turn in turns for text in turn.states.values()]
    texts += [candidate.topic for turn in turns for candidate in turn.candidates]
    encode([*dict.fromkeys([*texts, *(said.text for said in dialogue.utterances)])])
