"""Small annotated dialogues, and an encoder of word counts that needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from langgraph_cooper.prompts.task import AspectSpec, Prompts, TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Candidate,
    LabelledUtterance,
)
from langgraph_cooper.ranker.data.labels import Floats

DIMENSION = 32
WORDS = ("work", "sleep", "friend", "exam", "money", "home", "music", "walk")
STRATEGY = {"explore": "Question", "comfort": "Reassurance", "act": "Suggestion"}


def toy_task(prompts: Prompts) -> TaskSpec:
    """Three aspects with a strategy each, and "Hello" for the passive candidate."""
    return TaskSpec(
        name="toy",
        title="Toy",
        goal="To be small.",
        user_role="user",
        system_role="system",
        aspects=tuple(
            AspectSpec(name=name, summarise="what", propose="topics", strategies=(strategy,))
            for name, strategy in STRATEGY.items()
        ),
        passive_strategies=("Hello",),
        prompts=prompts,
    )


def word_vector(word: str) -> np.ndarray:
    """A fixed random vector of a word."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSION)


def encode(texts: Sequence[str]) -> Floats:
    """[N, 32] unit-norm sums of word vectors; an empty text is the zero vector."""
    rows = np.zeros((len(texts), DIMENSION), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            rows[row] += word_vector(word)
        rows[row] /= max(float(np.linalg.norm(rows[row])), 1e-9)
    return rows


def said(speaker: str, text: str, *strategies: str) -> LabelledUtterance:
    """One utterance."""
    return LabelledUtterance(speaker=speaker, text=text, strategies=strategies)


def candidates(topic: str) -> tuple[Candidate, ...]:
    """Two candidates of each aspect and a passive one; the first of each is about the topic."""
    own = [
        Candidate(aspect=aspect, strategy=strategy, topic=f"{aspect} {word}")
        for aspect, strategy in STRATEGY.items()
        for word in (topic, "weather")
    ]
    return (*own, Candidate(aspect="passive", strategy="Hello", topic="hello"))


def toy_dialogue(number: int) -> AnnotatedDialogue:
    """A dialogue of four rounds that promotes the aspects in order, then says goodbye."""
    topic = WORDS[number % len(WORDS)]
    order = ("explore", "comfort", "act")
    utterances = [said("user", f"my {topic} number {number} is bad")]
    turns = []
    for position, aspect in enumerate(order):
        utterances.append(said("system", f"{aspect} {topic} now", STRATEGY[aspect]))
        done = order[:position]
        states = {name: f"{name} {topic} {number}" if name in done else "" for name in order}
        turns.append(
            AnnotatedTurn(index=2 * position + 1, states=states, candidates=candidates(topic))
        )
        utterances.append(said("user", f"yes {topic} after {aspect}"))
    final = {name: f"{name} {topic} done {number}" for name in order}
    return AnnotatedDialogue(
        id=f"toy-{number}", utterances=tuple(utterances), turns=tuple(turns), final_states=final
    )


def toy_dialogues(count: int, first: int = 0) -> list[AnnotatedDialogue]:
    """`count` dialogues with different words."""
    return [toy_dialogue(number) for number in range(first, first + count)]
