"""Prepared answers: what the user just said is recognised by meaning, and answered first.

An answer stands for one kind of message, which its examples show. Of the nearest examples
(retrieval by nearest neighbours) the one decides whose answer most likely fits, if that is likely
enough. The likeliest answers are read once more, together with the message (`cross_encoder`). The
agent whose aspect the answer's strategy promotes proposes it, and the coordinator ranks it above
what is not an answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.nodes.language.acts import are_reversed
from langgraph_cooper.nodes.language.amounts import Amount, amounts
from langgraph_cooper.nodes.language.denying import denies
from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.repetition import form_was_said
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.nodes.offline.fitting import Rarity, chance, features, neighbours
from langgraph_cooper.nodes.offline.heard import Embed, examples, vectors_of
from langgraph_cooper.nodes.offline.passive import asks, foreign_candidates, passive_candidates
from langgraph_cooper.nodes.offline.reading import Reader
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.nodes.subjects.in_play import last_mentioned, subjects_in_play
from langgraph_cooper.prompts import PASSIVE, Answer, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round
from langgraph_cooper.ranker.model.computing import product
from langgraph_cooper.ranker.model.forking import wait_before_fork


class Thresholds(NamedTuple):
    """Smallest probabilities at which an answer is said."""

    statement: float
    question: float
    """... to a question: an honest "I don't know", which would be said instead, is accepted less
    often than what is said in place of an answer to a statement."""


WEIGHED, READ_TOO = Thresholds(0.52, 0.4), Thresholds(0.55, 0.5)
"""Of the regression alone, and with the cross-encoder (docs/answers-measured.md)."""
PART = 0.04
"""By how much a single sentence must be nearer than its whole message would have to be."""
MOST_PARTS = 4  # sentences of a message that are read alone, the last ones
LEAST_WORDS = 3  # words of such a sentence
NEARLY = 0.15
"""The cross-encoder decides between answers that the regression holds nearly as likely as the
likeliest: a small encoder alone takes "go to the website" for an answer to "why should I?"."""
READ = 6  # answers, the likeliest, that are read together with the message
REMEMBERED = 256  # messages whose answers are kept
NEAREST = 12  # examples whose answers are weighed
AMOUNT_AGREES = 1.5
"""Log-odds that an amount in an answer's range adds: the regression knows words alone. Chosen on
six offers in the conversations of tests/trial/development.txt that were not understood."""
WIDE = 100  # a range whose ends differ by such a factor says little: nearly any number is in it


class Answers:
    """Finds the prepared answer to a message; safe to share between threads.

    Args:
        task: The task with its answers.
        embed: The sentence encoder.
        thresholds: Smallest probabilities at which an answer is said; None: the usual ones.
        reader: Reads replies together with what was said; None: the regression decides alone.

    Attributes:
        chances: From a message to the nearest answers with what the regression says of each,
            likeliest first.
    """

    def __init__(
        self,
        task: TaskSpec,
        embed: Embed,
        thresholds: Thresholds | None = None,
        reader: Reader | None = None,
    ) -> None:
        self._task = task
        self._embed = embed
        self._thresholds = thresholds
        self._reader = reader
        of = [index for index, one in enumerate(task.answers) for _ in one.heard]
        self._of = np.array(of, np.int64)
        self._heard = examples(task)
        self.chances = remembered(REMEMBERED)(self._chances)  # each agent asks the same

    @property
    def reader(self) -> Reader | None:
        """What reads replies together with the message; None where nothing does."""
        return self._reader if self._reader and self._reader.reads else None

    def candidates(self, aspect: str, history: Sequence[Utterance]) -> list[Candidate]:
        """Return the answer to the user's last words as a candidate of its aspect.

        Args:
            aspect: The aspect that asks, or "passive".
            history: The dialogue so far.

        Returns:
            One candidate, which is due; none if no answer fits or it promotes another aspect.
        """
        answer = self.find(history)
        if answer is None or self._task.owner(answer.strategy) != aspect:
            return []
        return [Candidate(topic=answer.topic, strategy=answer.strategy, source="bank", due=True)]

    def find(self, history: Sequence[Utterance]) -> Answer | None:
        """Return the answer to the user's last words, if one fits."""
        said = last_user_text(history)
        if not said or not self._task.answers or _is_simple(self._task, history):
            return None
        best = max(self._margins(said, history), key=lambda one: one[1], default=None)
        return best[0] if best and best[1] >= 0 else None

    def unheard(self, history: Sequence[Utterance]) -> bool:
        """Return whether the user's last words were not understood.

        That is so where no answer fits, no cue calls for a passive turn, and no subject stands
        alone (a refusal, abuse): what is then said must presuppose nothing. A subject that was
        merely named is not enough: sentences about it were accepted in one case of five.
        """
        if not last_user_text(history) or not self._task.answers or _is_simple(self._task, history):
            return False
        in_play = subjects_in_play(self._task.subjects, history)
        return not any(subject.alone for subject in in_play) and self.find(history) is None

    def _margins(self, said: str, history: Sequence[Utterance]) -> list[tuple[Answer, float]]:
        """Return the likeliest answers that may be said.

        Returns:
            Each with its probability, less the smallest one at which it is said.
        """
        in_play = {subject.id for subject in subjects_in_play(self._task.subjects, history)}
        forms = (
            (answer, chance, next_form(answer, history, self._task))
            for answer, chance in self.chances(said)
            if self._may_be_said(answer, history, in_play)
        )
        chosen = list(itertools.islice((one for one in forms if one[2]), READ))
        reader = self.reader
        # Readers have graded no answers to amounts: the range tells more than the words.
        plain = [one for one in chosen if not one[0].amount]
        read = [one for one in plain if reader and one[1] >= plain[0][1] - NEARLY]
        least = self._least(said, WEIGHED)
        found = [
            (answer, chance - least) for answer, chance, _ in chosen if answer.amount or not reader
        ]
        if reader and read:
            replies, chances = [form for *_, form in read], [chance for _, chance, _ in read]
            probable = reader.weigh(said, replies, chances).tolist()
            least = self._least(said, READ_TOO)
            found += [(one[0], p - least) for one, p in zip(read, probable, strict=True)]
        return found

    def _least(self, said: str, usual: Thresholds) -> float:
        known = self._thresholds or usual
        return known.question if asks(said) else known.statement

    def _may_be_said(
        self, answer: Answer, history: Sequence[Utterance], in_play: AbstractSet[str]
    ) -> bool:
        said = last_user_text(history)
        if answer.amount and (not _agrees(answer, amounts(said)) or self._refuses(history)):
            return False
        if answer.about and in_play.isdisjoint(answer.about):
            return False
        owner = self._task.owner(answer.strategy)
        refused = owner != PASSIVE and not in_play.isdisjoint(self._task.aspect(owner).unless)
        # Who has refused is not asked again, but gets an answer to what they ask or offer. Where
        # decisions are read, an amount is no offer before a yes: "A dollar is a lot for me".
        decides = any(subject.decision for subject in self._task.subjects)
        asked = not decides if answer.amount else "?" in said
        return answer.offered_in(dialogue_round(history)) and (asked or not refused)

    def _refuses(self, history: Sequence[Utterance]) -> bool:
        """Return whether the user's last words refuse, as "$0" and "minus five dollars" do."""
        return any(s.decision == "refuses" for s in last_mentioned(self._task.subjects, history))

    def _chances(self, said: str) -> list[tuple[Answer, float]]:
        """Return the nearest answers with what the regression says of each, likeliest first."""
        parts = [part for part in sentences(said) if len(words(part)) >= LEAST_WORDS]
        read = [said, *(parts[-MOST_PARTS:] if len(sentences(said)) > 1 else [])]
        cosines = product(self._vectors, self._embed(read).T)  # [H, parts]
        margins = np.where(np.arange(len(read)) > 0, PART, 0.0)
        best, near = (cosines - margins).argmax(1), (cosines - margins).max(1)
        nearest = np.argsort(-near, kind="stable")[:NEAREST].tolist()
        order = [at for at in nearest if self._may_fit(read[best[at]], at)]
        if not order:
            return []
        of: list[int] = self._of[order].tolist()
        around = {one: neighbours(near, self._of, one, NEAREST) for one in set(of)}
        rows = [
            features(
                float(cosines[at, best[at]]), read[best[at]], said, self._heard[at], self._rarity,
                around[one],
            )
            for at, one in zip(order, of, strict=True)
        ]  # fmt: skip
        found = [amount for amount in amounts(said) if amount.clear]
        more = [AMOUNT_AGREES * self._tells(one, found) for one in of]
        likeliest: dict[int, float] = {}
        for one, probable in zip(of, chance(rows, more).tolist(), strict=True):
            likeliest[one] = max(probable, likeliest.get(one, 0.0))
        ranked = sorted(likeliest.items(), key=lambda pair: -pair[1])
        return [(self._task.answers[index], probable) for index, probable in ranked]

    def _may_fit(self, part: str, at: int) -> bool:
        """Return whether a message may mean what an example says, and not its reverse."""
        heard = self._task.answers[int(self._of[at])].heard
        return not are_reversed(part, self._heard[at]) and not denies(part, heard)

    def _tells(self, index: int, found: Sequence[Amount]) -> bool:
        answer = self._task.answers[index]
        low, high = answer.amount or (0.0, 0.0)
        return high <= WIDE * low and _agrees(answer, found)

    @cached_property
    def _rarity(self) -> Rarity:
        return Rarity(self._heard)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """[H, n_d] embeddings of the examples."""
        return vectors_of(self._task, self._embed)


for _name in ("_vectors", "_rarity"):  # Python 3.11 computes a cached property under a lock
    if _lock := getattr(vars(Answers)[_name], "lock", None):
        wait_before_fork(_lock)


def _agrees(answer: Answer, found: Sequence[Amount]) -> bool:
    """Return whether an answer is for amounts in a range, and one that it is for is in it.

    It is for amounts that are offered; for what something pays ("I earn 500") or is too much ("not
    500") only where one of its examples says so.
    """
    bounds = answer.amount
    if bounds is None:
        return False
    told = any(one.told for text in answer.heard for one in amounts(text))
    denied = any(one.denied for text in answer.heard for one in amounts(text))
    fitting = [one for one in found if one.within(bounds)]
    return any(one.told <= told and one.denied <= denied for one in fitting)


def _is_simple(task: TaskSpec, history: Sequence[Utterance]) -> bool:
    """Return whether a passive kind is due: the message is little more than its cue, or foreign."""
    found = foreign_candidates(task, history) or passive_candidates(task, history)
    return any(candidate.get("due") for candidate in found)


def next_form(answer: Answer, history: Sequence[Utterance], task: TaskSpec) -> str:
    """Return the sentence in which an answer would be said now; nothing if none is left."""
    subjects = subjects_in_play(task.subjects, history)
    for form in answer.say:
        if ("{subject}" in form and not subjects) or form_was_said(form, history):
            continue
        text = form.replace("{subject}", subjects[0].phrase) if subjects else form
        text = spoken_amount(text, last_user_text(history), answer.amount)
        if len(text.split()) < task.reply_words:
            return text[0].upper() + text[1:]
    return ""


def spoken_amount(form: str, said: str, wanted: tuple[float, float] | None) -> str:
    """Return a form with the amount in the user's words in its place."""
    if "{amount}" not in form:
        return form
    fitting = [one for one in amounts(said) if wanted is None or one.within(wanted)]
    fitting.sort(key=lambda one: not one.offered)
    return form.replace("{amount}", fitting[0].text if fitting else "that")
