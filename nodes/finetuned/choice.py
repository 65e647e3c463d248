"""Chooses among sampled replies, the bank's sentence and an honest "I don't know".

A reply that breaks a rule is out. Of the others the best wins: it answers what was said (a trained
model), says what the topics propose, is about as long as what people write, agrees with the other
samples, answers a direct question, and says nothing over again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from langgraph_cooper.nodes.finetuned.relevance import (
    SHIPPED,
    Embed,
    Floats,
    RelevanceModel,
    read_relevance,
)
from langgraph_cooper.nodes.finetuned.rules import (
    BANK_RULES,
    RULES,
    Situation,
    broken,
    task_words,
)
from langgraph_cooper.nodes.finetuned.rules.answering import HONEST, answers, question_of
from langgraph_cooper.nodes.finetuned.tidying import tidied
from langgraph_cooper.nodes.language.repetition import form_was_said
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.computing import product

FALLBACK, HONESTY = -1, -2
"""Indices of the prepared sentence and of an honest "I don't know" in a `Choice`."""

DECAY = 0.85  # of a topic's weight from one rank to the next
AGAIN = 0.6  # cosine to an earlier utterance from which a reply is felt to be the same
EARLIER = 8  # own utterances that a reply is compared with
ANSWERED = 0.5  # from here on a candidate counts as an answer


@dataclass(frozen=True)
class Weights:
    """What each part of the score is worth; 0 leaves a part out.

    Attributes:
        relevance: Of a unit of the relevance model's log-odds.
        topics: Of the cosine with the nearest of the topics.
        length: Of half the squared deviation of the log length, in standard deviations.
        answers: Of an answer to a direct question.
        novelty: Of the cosine with an own earlier utterance above `AGAIN`.
        agreement: Of the mean cosine with the other samples.
        bank: Added to the prepared sentence.
        due: Added to it where the first topic answers what the user just did: a goodbye, a no, "are
            you a robot?" have answers that people thought about.
    """

    relevance: float = 1.0
    topics: float = 0.5
    length: float = 0.2
    answers: float = 2.0
    novelty: float = 4.0
    agreement: float = 1.0
    bank: float = 0.0
    due: float = 3.0


class Length(NamedTuple):
    """How long people's replies are: of the natural logarithm of the number of words."""

    mean: float = 2.8
    deviation: float = 0.75


DEFAULT, USUAL = Weights(), Length()
LENGTHS = {"esc": Length(2.76, 0.87), "persuasion": Length(2.82, 0.79)}
"""Of 40 conversations each that nothing else was learnt from: ESConv train, P4G."""


@dataclass(frozen=True)
class Choice:
    """The reply that was chosen.

    Attributes:
        text: The reply, tidied.
        index: Its position among the samples; `FALLBACK` or `HONESTY`.
        score: Its score; minus infinity if every candidate was out.
        reasons: The parts of its score, then a line for each candidate that is out.
    """

    text: str
    index: int
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    index: int
    text: str


class Chooser:
    """Chooses replies; holds no state of a conversation, safe to share between threads.

    Args:
        task: The task, whose facts a reply may use.
        embed: The sentence encoder, behind a cache.
        relevance: The task's model; None: the cosine with the user's last words instead.
        weights: What each part is worth.
        length: How long people's replies are.
        rules: Names of the rules that count; a test leaves some out.
    """

    def __init__(
        self,
        task: TaskSpec,
        embed: Embed,
        relevance: RelevanceModel | None = None,
        *,
        weights: Weights = DEFAULT,
        length: Length = USUAL,
        rules: Iterable[str] = tuple(RULES),
    ) -> None:
        self._task = task
        self._embed = embed
        self._relevance = relevance
        self._weights = weights
        self._length = length
        self._rules = tuple(rules)
        self._allowed = task_words(task)
        due = [kind for kind in task.passive if kind.due or kind.foreign]
        self._due = {topic.topic for kind in due for topic in kind.topics}
        self._due |= {answer.topic for answer in task.answers}

    def choose(
        self,
        said: Sequence[Utterance],
        samples: Sequence[str],
        fallback: str,
        topics: Sequence[str] = (),
    ) -> Choice:
        """Choose the reply.

        Args:
            said: The dialogue, oldest utterance first; the user spoke last.
            samples: The generator's, in any number.
            fallback: The bank's sentence, which is said if nothing else may be.
            topics: The chosen topics, best first.
        """
        situation = Situation(self._task, said, self._allowed)
        fitting, out = self._sift(situation, samples, fallback)
        if not any(answers(situation, each.text) >= ANSWERED for each in fitting):
            fitting += self._honest(situation)
        if not fitting:
            return Choice(fallback, FALLBACK, -math.inf, tuple(out))
        parts = self.parts(situation, [each.text for each in fitting], topics)
        bank = np.array([float(each.index == FALLBACK) for each in fitting], np.float32)
        parts |= {"bank": bank, "due": bank * bool(topics and topics[0] in self._due)}
        total = self.total(parts)
        best = int(total.argmax())
        why = [f"{name} {values[best]:+.2f}" for name, values in parts.items()]
        chosen = fitting[best]
        return Choice(chosen.text, chosen.index, float(total[best]), (*why, *out))

    def parts(
        self, situation: Situation, replies: Sequence[str], topics: Sequence[str]
    ) -> dict[str, Floats]:
        """Return the parts of each reply's score before they are weighed, [N] each."""
        vectors = self._embed(replies)
        return {
            "relevance": self._relevant(situation, replies, vectors),
            "topics": self._covered(vectors, topics),
            "length": np.array([self._length_of(reply) for reply in replies], np.float32),
            "answers": np.array([answers(situation, each) for each in replies], np.float32),
            "novelty": self._said_before(situation, vectors),
            "agreement": _agreement(vectors),
        }

    def total(self, parts: Mapping[str, Floats]) -> Floats:
        """Return [N] the weighed sum of the parts."""
        weighed = [getattr(self._weights, name) * values for name, values in parts.items()]
        total: Floats = np.sum(weighed, axis=0)
        return total

    def without(self, *names: str) -> Chooser:
        """Return a chooser that leaves these parts and rules out, to measure what they are worth.

        Raises:
            ValueError: There is no such part or rule.
        """
        known = {field.name for field in fields(Weights)}
        if unknown := set(names) - known - set(RULES):
            raise ValueError(f"{sorted(unknown)[0]!r} is neither a part of the score nor a rule")
        zero = {name: 0.0 for name in names if name in known}
        return Chooser(
            self._task,
            self._embed,
            self._relevance,
            weights=replace(self._weights, **zero),
            length=self._length,
            rules=[name for name in self._rules if name not in names],
        )

    def _sift(
        self, situation: Situation, samples: Sequence[str], fallback: str
    ) -> tuple[list[_Candidate], list[str]]:
        """Return the candidates that break no rule, and why the others are out."""
        fitting, out = [], []
        seen: set[str] = set()
        for index, sample in enumerate(samples):
            text = tidied(sample, self._task.reply_words)
            if text in seen:
                continue
            seen.add(text)
            if fault := broken(situation, text, self._rules):
                out.append(f"out {index}: {fault[0]} ({fault[1]})")
            else:
                fitting.append(_Candidate(index, text))
        rules = [name for name in BANK_RULES if name in self._rules]
        if fault := broken(situation, fallback, rules):
            out.append(f"out {FALLBACK}: {fault[0]} ({fault[1]})")
        else:
            fitting.append(_Candidate(FALLBACK, fallback))
        return fitting, out

    def _honest(self, situation: Situation) -> list[_Candidate]:
        """Return a fresh "I don't know" if a direct question is open that it answers."""
        asked = question_of(situation.last)
        if asked is None or asked[0] in ("identity", "meaning"):
            return []
        fresh = [form for form in HONEST if not form_was_said(form, situation.said)]
        return [_Candidate(HONESTY, form) for form in fresh[:1]]

    def _relevant(self, situation: Situation, replies: Sequence[str], vectors: Floats) -> Floats:
        if self._relevance is not None:
            return self._relevance.score(situation.said, replies)
        return product(vectors, self._embed([situation.last])[0])

    def _covered(self, vectors: Floats, topics: Sequence[str]) -> Floats:
        if not topics:
            return np.zeros(len(vectors), np.float32)
        weights = DECAY ** np.arange(len(topics), dtype=np.float32)
        nearest: Floats = (product(vectors, self._embed(topics).T) * weights).max(1)
        return nearest

    def _length_of(self, reply: str) -> float:
        log = math.log(max(len(words(reply)), 1))
        return -0.5 * ((log - self._length.mean) / self._length.deviation) ** 2

    def _said_before(self, situation: Situation, vectors: Floats) -> Floats:
        earlier = situation.system_texts[-EARLIER:]
        if not earlier:
            return np.zeros(len(vectors), np.float32)
        nearest = product(vectors, self._embed(earlier).T).max(1)
        again: Floats = -np.maximum(nearest - AGAIN, 0.0)
        return again


def _agreement(vectors: Floats) -> Floats:
    """Return [N] the mean cosine of each reply with the others."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.float32)
    likeness = product(vectors, vectors.T)
    mean: Floats = (likeness.sum(1) - likeness.diagonal()) / (len(vectors) - 1)
    return mean


def load_chooser(task: TaskSpec, embed: Embed, *, weights: Weights = DEFAULT) -> Chooser:
    """Build a task's chooser, with its shipped model of relevance if it has one.

    Args:
        task: The task.
        embed: The sentence encoder, behind a cache: all-MiniLM-L6-v2 for the shipped models.
        weights: What each part is worth.

    Raises:
        RelevanceError: The shipped model is damaged.
    """
    folder = SHIPPED / task.name
    model = read_relevance(folder, embed) if folder.is_dir() else None
    return Chooser(task, embed, model, weights=weights, length=LENGTHS.get(task.name, USUAL))
