"""The offline aspect promoter: retrieves diverse topics from the task's bank."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.repetition import form_was_said, used_up, was_said
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.heard import Embed
from langgraph_cooper.nodes.offline.inviting import asks_what_was_said, invites_question
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.nodes.subjects.in_play import may_be_raised, subjects_in_play
from langgraph_cooper.prompts import AspectSpec, TaskSpec, Topic
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round
from langgraph_cooper.ranker.model.computing import product

RELEVANCE = 0.7  # lambda of maximal marginal relevance: relevance against novelty
LAST_WORD = 0.6  # weight of the user's last words in the query; the rest is the state summary's
OPEN_QUESTIONS = 4  # that are compared: the bank has those first that fit nearly anything
ACCEPTABLE, QUESTION = 0.5, 0.2
"""Smallest probabilities at which what presupposes nothing is offered, and an open question is
asked: readers of whole conversations would rather be asked too often than only thanked
(docs/answers-measured.md)."""
READ = 6  # topics that presuppose nothing, the most relevant, that are read with the message
IN_PLAY = 0.10  # added to the relevance of a topic about a subject in play


class OfflinePromoter:
    """Picks topics that are relevant to the conversation and unlike one another.

    Maximal marginal relevance (Carbonell and Goldstein 1998) over the aspect's topics that fit the
    round and the subjects in play and have not been used up.
    """

    def __init__(self, task: TaskSpec, embed: Embed, answers: Answers) -> None:
        self._task = task
        self._embed = embed
        self._answers = answers

    def __call__(self, given: PromoterInput) -> list[Candidate]:
        """Return up to m topic candidates C_i1 ... C_im: what is due, then the most relevant."""
        history = given["history"]
        due = self._answers.candidates(given["aspect"].name, history)
        unheard = self._answers.unheard(history)
        if unheard and _has_questions(given["aspect"]) and invites_question(history):
            due = self._open_question(given)
        # What is due is said alone: nobody need read the others.
        return [*due, *self._relevant(given, unheard, read=not due)][: given["m"]]

    def _open_question(self, given: PromoterInput) -> list[Candidate]:
        """Return the most relevant of the first open questions in the bank that were not said."""
        history, said = given["history"], last_user_text(given["history"])
        topics = [
            topic
            for topic in self._fitting(given)
            if topic.open_question and not asks_what_was_said(topic, said)
        ]
        fresh = [topic for topic in topics if not was_said(topic, history)]
        topics = self._acceptable((fresh or topics)[:OPEN_QUESTIONS], history, QUESTION)
        if not topics:
            return []
        relevance = product(self._embed([topic.topic for topic in topics]), self._query(given))
        best = topics[int(relevance.argmax())]
        return [Candidate(topic=best.topic, strategy=best.strategy, source="bank", due=True)]

    def _relevant(self, given: PromoterInput, unheard: bool, *, read: bool) -> list[Candidate]:
        """Return diverse topics that fit, none of them due."""
        history = given["history"]
        fitting = [
            topic
            for topic in self._fitting(given)
            if topic.anytime == unheard and not topic.open_question
        ]
        # Topics not said at all come before other words for topics that were.
        fresh = [topic for topic in fitting if not was_said(topic, history)]
        topics = fresh if len(fresh) >= given["m"] else fitting
        if not topics:
            return []
        relevance = self._relevance(topics, given)
        if unheard and read and self._answers.reader:
            nearest = np.argsort(-relevance, kind="stable")[: max(READ, given["m"])]
            topics = self._acceptable([topics[i] for i in nearest], history, ACCEPTABLE, least=1)
            relevance = self._relevance(topics, given)
        vectors = self._embed([topic.topic for topic in topics])
        return [
            Candidate(topic=topics[i].topic, strategy=topics[i].strategy, source="bank")
            for i in _diverse(vectors, relevance, given["m"])
        ]

    def _relevance(self, topics: Sequence[Topic], given: PromoterInput) -> NDArray[np.float32]:
        """Return [N] how relevant topics are."""
        relevance = product(self._embed([topic.topic for topic in topics]), self._query(given))
        relevance += [IN_PLAY * bool(topic.about) for topic in topics]
        return relevance

    def _acceptable(
        self, topics: Sequence[Topic], history: Sequence[Utterance], probable: float, least: int = 0
    ) -> list[Topic]:
        """Return the topics whose next sentence fits the user's words, in their order.

        Args:
            topics: Some topics.
            history: The dialogue so far.
            probable: Smallest probability at which a sentence fits.
            least: Number of topics that are returned anyhow, those that fit best.
        """
        reader = self._answers.reader
        if reader is None or not topics:
            return list(topics)
        forms = [_next_form(topic, history) for topic in topics]
        fits = reader.acceptable(last_user_text(history), forms)
        best = np.argsort(-fits, kind="stable")[:least]
        return [topic for i, topic in enumerate(topics) if fits[i] >= probable or i in best]

    def _fitting(self, given: PromoterInput) -> list[Topic]:
        """Return the topics that fit the round, the subjects in play and what was refused."""
        history, aspect = given["history"], given["aspect"]
        mentioned = subjects_in_play(self._task.subjects, history)
        offered = {s.id for s in mentioned if s.alone} or {s.id for s in mentioned}
        return [
            topic
            for topic in aspect.topics
            if _fits(topic, offered, history) and may_be_raised(topic.topic, aspect, offered)
        ]

    def _query(self, given: PromoterInput) -> NDArray[np.float32]:
        """Return [n_d] the weighted embeddings of the user's last words and the state summary."""
        last, state = self._embed([last_user_text(given["history"]), given["state"]])
        query: NDArray[np.float32] = LAST_WORD * last + (1 - LAST_WORD) * state
        return query


def _next_form(topic: Topic, history: Sequence[Utterance]) -> str:
    """Return the first form of a topic that was not said."""
    return next((form for form in topic.say if not form_was_said(form, history)), topic.say[0])


def _has_questions(aspect: AspectSpec) -> bool:
    return any(topic.open_question for topic in aspect.topics)


def _fits(topic: Topic, subjects: AbstractSet[str], history: Sequence[Utterance]) -> bool:
    about = not topic.about or not subjects.isdisjoint(topic.about)
    return about and topic.offered_in(dialogue_round(history)) and not used_up(topic, history)


def _diverse(vectors: NDArray[np.float32], relevance: NDArray[np.float32], m: int) -> list[int]:
    """Return up to m row indices, each of greatest lambda * relevance - (1 - lambda) * likeness."""
    likeness = product(vectors, vectors.T)
    chosen: list[int] = []
    while len(chosen) < min(m, len(vectors)):
        nearest = likeness[:, chosen].max(axis=1) if chosen else np.zeros(len(vectors))
        gain = RELEVANCE * relevance - (1 - RELEVANCE) * nearest
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return chosen
