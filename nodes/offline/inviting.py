"""When an open question is due: the words were not understood, and nothing was asked before them.

Receiving one message after another with thanks finds out nothing. An open question leaves the
choice of what matters to the other (Hill 2009, "open questions and probes").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.refusals import refused
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.nodes.offline.fitting import ASKING
from langgraph_cooper.prompts import Topic
from langgraph_cooper.ranker.data.dialogue import Utterance

LEAST_WORDS = 3  # "nope" tells nothing that could be asked about
LEAD_IN = r"(?:(?:and|so|but|ok|okay|well|then|now|just|right|anyway),? )*"
REQUESTS = re.compile(
    LEAD_IN + r"(?:please|don'?t|do not|tell|teach|make|give|help|stop|leave|let'?s|let me|explain|"
    r"show|say|write|keep|skip|go on|never ?mind|forget|ask|answer)\b",
    re.IGNORECASE,
)
LEAVES = re.compile(
    r"\b(?:bye|goodbye|good ?night|thanks|thank you|(?:i|i'd|we) (?:should|must|have to|need to|"
    r"gotta|had better|better|ought to)(?: \w+){0,3} (?:go|sleep|run|leave|drive|get (?:back|"
    r"going|ready|to (?:bed|work)))|i'(?:ve|m) (?:got to|gotta|going to|off to) (?:go|run|leave|"
    r"sleep|bed|work))\b",
    re.IGNORECASE,
)
CORRECTS = re.compile(
    r"\b(?:correction|i mis(?:spoke|typed|remembered|counted)|i meant|i mixed up|typo|i beg your "
    r"pardon|i should have (?:said|mentioned)|by the way|btw)\b|^(?:sorry|no|not|wait|back)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[,;:]\s+")
ALIKE = 4  # letters: "feels" and "feeling" say "feel"


def invites_question(history: Sequence[Utterance]) -> bool:
    """Return whether an open question fits after words that were not understood.

    It does not after a question, before words of leaving, and where a request or a correction asks
    for something else, nor ever where the user wants no questions.

    Args:
        history: The dialogue so far; the last utterance is the user's.
    """
    replies = [said.text for said in history if said.speaker == "system"]
    if not replies or "?" in replies[-1]:
        return False
    text = last_user_text(history).replace("’", "'")
    found = words(text)
    if len(found) < LEAST_WORDS or "?" in text or found[0] in ASKING or LEAVES.search(text):
        return False
    if any(CORRECTS.search(part) or REQUESTS.match(part) for part in sentences(text)):
        return False
    if any(REQUESTS.match(part) for part in CLAUSE.split(text)):
        return False
    return "questions" not in refused(said.text for said in history if said.speaker == "user")


def asks_what_was_said(topic: Topic, said: str) -> bool:
    """Return whether a topic asks for what the words tell: how one feels who "feels stupid"."""
    heard = {word[:ALIKE] for word in words(said)}
    asked = {word[:ALIKE] for word in words(topic.topic) if len(word) >= ALIKE}
    return not asked.isdisjoint(heard - {"what", "that", "with", "does", "when", "your"})
