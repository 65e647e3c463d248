"""Nothing is said twice, and the user's words are not handed back as they are."""

from __future__ import annotations

from langgraph_cooper.nodes.finetuned.rules.situation import Situation
from langgraph_cooper.nodes.language.repetition import form_was_said
from langgraph_cooper.nodes.language.text import sentences, words

SHORT = 3  # words of a sentence that may come again: "I see."
COPIED = 7  # words in a row of an earlier utterance


def repeats(situation: Situation, reply: str) -> str | None:
    """Return what a reply says again, if anything."""
    for sentence in sentences(reply):
        if len(words(sentence)) > SHORT and form_was_said(_literal(sentence), situation.said):
            return sentence
    own = _runs(reply)
    for text in situation.system_texts:
        if shared := own & _runs(text):
            return " ".join(min(shared))
    user = set().union(*(_runs(text) for text in situation.user_texts[-3:]), set())
    return " ".join(min(own & user)) if own & user else None


def _literal(sentence: str) -> str:
    return sentence.replace("{", "(").replace("}", ")")


def _runs(text: str) -> set[tuple[str, ...]]:
    tokens = words(text)
    return {tuple(tokens[i : i + COPIED]) for i in range(len(tokens) - COPIED + 1)}
