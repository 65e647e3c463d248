"""When an open question is due: the words were not understood, and nothing was asked before them.

Receiving one message after another with thanks finds out nothing. An open question leaves the
choice of what matters to the other (Hill 2009, "open questions and probes").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.remembering import remembered
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
GOES = (
    r"(?:go|run|sleep|leave|head out|log off|get (?:going|ready|back(?: to (?:it|work|bed))?)|"
    r"(?:go|get) to (?:bed|sleep|work)|back to (?:it|work))(?: now| soon| tonight| then)?\s*"
    r"(?:$|[.!,;])"
)
LEAVES = re.compile(
    r"\b(?:bye|goodbye|good ?night|thanks|thank you|(?:i|i'd|we) (?:should|must|have to|need to|"
    r"gotta|had better|better|ought to|will|'ll)(?: \w+){0,2}? " + GOES + r"|i'(?:ve|m) (?:got to|"
    r"gotta|going to|off to|about to) " + GOES + ")",
    re.IGNORECASE,
)
CORRECTS = re.compile(
    r"\b(?:correction|i mis(?:spoke|typed|remembered|counted)|i meant|i mixed up|typo|i beg your "
    r"pardon|i should have (?:said|mentioned)|by the way|btw)\b|^(?:sorry|no|not|wait)(?:,| the\b|"
    r" that\b)|^(?:wait|sorry|back)[.!]",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[,;:]\s+")
NO_QUESTIONS = re.compile(
    r"\b(?:no|enough|too many|stop)(?: with)?(?: (?:the|your|these|all|more|of))* questions\b|"
    r"\bwithout (?:any |all the )?questions\b|\b(?:sick|tired) of (?:your|these) questions\b|"
    r"(?:^|[.!?,;:]\s+|\b(?:please|just|and|but|can you|could you) )(?:please )?(?:stop|quit|"
    r"don't|do not|not) (?:keep )?(?:ask|asking|question|questioning|interrogating)(?: me)?"
    r"(?: (?:so many|all these|any|anything|more|again|questions|things))*\s*(?:$|[.!?,;])",
    re.IGNORECASE,
)
MAY_ASK = re.compile(
    r"\b(?:you (?:can|may|could) ask|feel free to ask|ask (?:me )?(?:again|away|anything|something|"
    r"another|whatever))\b",
    re.IGNORECASE,
)
TOLD = {
    "feel": re.compile(r"\bfe(?:el\w*|lt)\b", re.IGNORECASE),
    "think": re.compile(r"\b(?:think\w*|thought\w*|wonder\w*)\b", re.IGNORECASE),
    "mean": re.compile(r"\b(?:means?|meant)\b", re.IGNORECASE),
    "matter": re.compile(r"\bmatter\w*\b", re.IGNORECASE),
    "happen": re.compile(r"\b(?:hop(?:e|ed|ing)|wish\w*|i want)\b", re.IGNORECASE),
}
"""A word of a question -> what tells its answer already."""


def invites_question(history: Sequence[Utterance]) -> bool:
    """Return whether an open question fits after words that were not understood.

    It does not after a question, before words of leaving, and where a request or a correction asks
    for something else, nor where the user wants no questions and has not asked for any since.

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
    wishes = [_wish(said.text) for said in history if said.speaker == "user"]
    return next((wish for wish in reversed(wishes) if wish is not None), True)


@remembered(4096)
def _wish(text: str) -> bool | None:
    """Return whether the user wants to be asked; None: they do not say."""
    plain = text.replace("’", "'")
    if NO_QUESTIONS.search(plain):
        return False
    return True if MAY_ASK.search(plain) else None


def asks_what_was_said(topic: Topic, said: str) -> bool:
    """Return whether a topic asks for what the words tell: how one feels who "feels stupid"."""
    return any(word in topic.topic and told.search(said) for word, told in TOLD.items())
