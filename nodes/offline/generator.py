"""The offline generator: says the top-K topics in the words of the task's bank."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from langgraph_cooper.nodes.backend import GeneratorInput
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, unsayable
from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.repetition import form_was_said
from langgraph_cooper.nodes.language.text import echo, words
from langgraph_cooper.nodes.offline.answers import next_form
from langgraph_cooper.nodes.offline.passive import FILLERS, asks
from langgraph_cooper.nodes.state import RankedCandidate
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.prompts import PASSIVE, TaskSpec, Topic
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round

# Used when a bank is used up and has no sentence that may be said again; the shipped ones last
# hundreds of turns.
LAST_RESORTS = (
    "I'm listening. You said: {heard}",
    "Let me stay with that: {heard}",
    "I hear this: {heard}",
    "Tell me more, if you like, about this: {heard}",
)
# In place of these, where the message is nothing else: there is nothing in "bye" to give back.
# "See you" is a goodbye by itself, not in "good to see you".
COURTESIES = {
    re.compile(
        r"\b(?:bye|goodbye|good\W+night|see\s+you\s+(?:later|soon|tomorrow))\b"
        r"|(?:^|[.,;!?])\s*(?:(?:ok|okay|well|so|thanks)\s+)?see\s+you\s*(?=$|[.,;!?])",
        re.IGNORECASE,
    ): "Goodbye, and take care.",
    re.compile(r"\bthanks\b|\bthank\s+you\b", re.IGNORECASE): "You're welcome.",
    re.compile(
        r"\b(?:hi|hello|hey|(?:good|great|nice)\s+to\s+see\s+you)\b", re.IGNORECASE
    ): "Hello.",
}
COURTEOUS = FILLERS | {"later", "night", "see", "tomorrow"}
MOST_TOPICS = 2  # three in one utterance read like a list


@dataclass(frozen=True)
class _Line:
    text: str
    aspect: str
    alone: bool = False

    @property
    def asks(self) -> bool:
        return self.text.rstrip().endswith("?")


class OfflineGenerator:
    """Composes the next utterance U from the top-K candidates, within the task's word limit.

    A prepared answer that was ranked first is said alone. Else it says the best candidate, and
    another of the K if that fits, comes from another aspect and does not add a second question.
    The user's last statement comes first if it can be turned to the second person safely. No form
    is used twice in a conversation, unless nothing else is left.
    """

    def __init__(self, task: TaskSpec) -> None:
        self._task = task
        banks = [aspect.topics for aspect in task.aspects] + [kind.topics for kind in task.passive]
        self._bank = {topic.topic: topic for topics in banks for topic in topics}
        self._answers = {answer.topic: answer for answer in task.answers}

    def __call__(self, given: GeneratorInput) -> AIMessage:
        """Return the whole utterance; `OfflineVoice` streams it."""
        history = given["history"]
        if answer := self._answer(given["topics"], history):
            return AIMessage(answer)
        lines = self._lines(given["topics"], history) or [self._rescue(history)]
        chosen = self._choose(lines)
        if chosen[0].aspect != PASSIVE:
            chosen = self._lead(chosen, history)
        return AIMessage(" ".join(line.text for line in sorted(chosen, key=lambda x: x.asks)))

    def _answer(self, topics: Sequence[RankedCandidate], history: Sequence[Utterance]) -> str:
        """Return an unsaid form of the first topic if that is a prepared answer; else nothing."""
        first = topics[0] if topics else None
        answer = self._answers.get(first["topic"]) if first and first.get("due") else None
        return next_form(answer, history, self._task) if answer else ""

    def _lines(
        self, topics: Iterable[RankedCandidate], history: Sequence[Utterance]
    ) -> list[_Line]:
        """Return an unsaid sentence for each candidate that still has one, best candidate first."""
        subjects = subjects_in_play(self._task.subjects, history)
        lines = []
        for ranked in topics:
            topic = self._bank.get(ranked["topic"])
            forms = topic.say if topic else (ranked["topic"],)
            fitting = [s.phrase for s in subjects if not topic or s.id in topic.about]
            phrases = fitting or [s.phrase for s in subjects[:1]]
            for form in sorted(forms, key=lambda form: "{subject}" not in form):
                unfilled = topic is not None and "{subject}" in form and not phrases
                if unfilled or form_was_said(form, history):
                    continue
                text = form.replace("{subject}", phrases[0]) if topic and phrases else form
                alone = topic is not None and (topic.anytime or topic.open_question)
                line = _Line(text[0].upper() + text[1:], ranked["aspect"], alone)
                if not self._fits([line]):
                    continue
                lines.append(line)
                break
        return lines

    def _choose(self, lines: Sequence[_Line]) -> list[_Line]:
        chosen = [lines[0]]
        for line in lines[1:]:
            alike = any(line.aspect == other.aspect for other in chosen)
            both_ask = line.asks and any(other.asks for other in chosen)
            alone = line.alone or chosen[0].alone or PASSIVE in (line.aspect, chosen[0].aspect)
            if alone or alike or both_ask:
                continue
            if len(chosen) < MOST_TOPICS and self._fits([*chosen, line]):
                chosen.append(line)
        return chosen

    def _lead(self, chosen: list[_Line], history: Sequence[Utterance]) -> list[_Line]:
        """Put an echo of the user's words before the rest, in every other round, if it is safe."""
        heard = echo(last_user_text(history))
        if not heard or unsayable(heard) or not self._task.echo or dialogue_round(history) % 2 == 0:
            return chosen
        form = self._task.echo[dialogue_round(history) // 2 % len(self._task.echo)]
        lead = _Line(form.replace("{echo}", heard), "")
        fresh = not form_was_said(lead.text, history)
        return [lead, *chosen] if fresh and self._fits([lead, *chosen]) else chosen

    def _fits(self, lines: Sequence[_Line]) -> bool:
        return len(" ".join(line.text for line in lines).split()) < self._task.reply_words

    def _rescue(self, history: Sequence[Utterance]) -> _Line:
        """Return a line that fits at any time, if the top K are used up.

        A sentence of the bank that was not said comes first, then the one that was said the longest
        ago, unless it is the last reply.
        """
        replies = [said for said in history if said.speaker == "system"]
        plain = [
            form for topic in self._receiving(history) for form in topic.say if "{" not in form
        ]
        lines = [line for line in (_Line(form, PASSIVE) for form in plain) if self._fits([line])]
        said = {line: _last_said(line.text, replies) for line in lines}
        first = min(lines, key=lambda line: said[line], default=None)
        if first and not said[first]:
            return first
        if courtesy := _courtesy(last_user_text(history)):
            return _Line(courtesy, PASSIVE)
        return first if first and said[first] < len(replies) else self._last_resort(history)

    def _last_resort(self, history: Sequence[Utterance]) -> _Line:
        heard = last_user_text(history)
        heard = "" if crisis_kind(heard) else heard
        form = LAST_RESORTS[dialogue_round(history) % len(LAST_RESORTS)] if heard else "Hello."
        room = min(24, self._task.reply_words - 1)
        return _Line(" ".join(form.format(heard=heard).split()[:room]), PASSIVE)

    def _receiving(self, history: Sequence[Utterance]) -> Iterable[Topic]:
        """Return the topics that fit at any time.

        They are those of the passive kinds that nothing calls for, and the aspects' `anytime` ones.
        What admits not to know is for questions.
        """
        asked = asks(last_user_text(history))
        for kind in self._task.passive:
            called = kind.cues or kind.about or kind.opening or kind.foreign
            if not called and (asked or not kind.asked):
                yield from kind.topics
        for aspect in self._task.aspects:
            yield from (topic for topic in aspect.topics if topic.anytime and not topic.about)


def _last_said(form: str, replies: Sequence[Utterance]) -> int:
    """Return the number of the last reply with a form, from 1; 0 if it was not said."""
    return max((n for n, said in enumerate(replies, 1) if form_was_said(form, [said])), default=0)


def _courtesy(heard: str) -> str:
    """Return the reply to a message that only greets, thanks or says goodbye; else nothing."""
    if not COURTEOUS.issuperset(words(heard)):
        return ""
    for phrase, said in COURTESIES.items():
        rest = phrase.sub(" ", heard)
        if rest != heard:
            return "" if "?" in heard and words(rest) else said  # "Hello? Are you there?"
    return ""
