"""A reply is the system's: it does not speak as the user would, nor to itself."""

from __future__ import annotations

import re

from langgraph_cooper.nodes.finetuned.rules.situation import Situation, own_words
from langgraph_cooper.nodes.finetuned.tidying import END
from langgraph_cooper.nodes.language.text import sentences, words

THANKS = (
    r"\bthank(?:s| you)(?: \w+){0,3}? for (?:your |the |all (?:your |the )?|all of your "
    r")?(?:great |good |kind |wonderful )?(?:help|advice|suggestions?|support|tips|listening|"
    r"input|ideas?|helping|understanding|encouragement)\b",
)
HELPER = (
    r"\byou(?:'ve| have)? (?:really |already )?(?:helped me|been (?:so |very |really |such a "
    r")*(?:helpful|kind|a great help|a big help)|are (?:so |very |really )?(?:helpful|right, i))",
    r"\b(?:can|could|will|would) you (?:please )?(?:help|advise|support) me\b",
    r"\bwhat (?:should|can|could|do) i (?:do|say|tell|try)\b|\bhow (?:do|can|should) i (?:stop|"
    r"tell|get|deal|cope|move|fix|talk)\b|\bwhat do you (?:suggest|recommend|advise)\b",
    r"\b(?:do you have|any) (?:any )?(?:advice|tips|suggestions) for me\b",
    r"\bi (?:really |just |don't |do not |have no idea |am not sure )*(?:don't|do not) know "
    r"(?:what|how) to (?:do|handle|deal|tell|stop|cope)\b|\bi need (?:some |your |any )?(?:help|"
    r"advice|someone)\b",
    r"\b(?:that|this|it)(?:'s| is| was| has been)? (?:\w+ )?(?:helped me|helpful (?:to|for) me)\b",
    r"\bi(?:'ll| will)(?: definitely| certainly| surely)? (?:try|do|think about|consider|give) "
    r"(?:that|it|your|this)\b",
    r"\bi feel (?:\w+ )?better (?:now|already|after)\b",
    r"\b(?:sorry|thanks?) (?:about|for|to hear about|of) your (?:own )?(?:failure|fault|"
    r"mistakes?)\b",
)
GIVER = (
    r"\bi(?:'d| would) (?:be (?:happy|willing|glad) to|like to|love to)(?: \w+)? (?:donate|give|"
    r"contribute)\b",
    r"\bhow (?:do|can|would) i (?:donate|give|pay|help)\b|\bhow much should i\b|\bi(?:'ll| will| "
    r"can|'m going to| am going to) (?:donate|give \$?\d)",
)
BUYER = (
    r"\bi(?:'ll| will| would|'d)(?: like to)? (?:take|buy) (?:it|the bike)\b|\bhow much (?:do "
    r"you want|are you asking|is it)\b|\bwhat(?:'s| is) (?:the|your) (?:lowest|best) price\b|"
    r"\bis it still available\b",
)
LABEL = re.compile(
    r"^\s*(?:\[?(?:seeker|supporter|user|assistant|system|persuader|persuadee|buyer|seller|human|"
    r"bot|ai)\]?\s*[:>-])|<\|?\w|\|>|\[\w[^\]]*\]|\{\w+\}|```|^\s*(?:\d+\.|[-*•]) ",
    re.IGNORECASE | re.MULTILINE,
)
FEWEST_LETTERS = 2

_THANKS = tuple(re.compile(pattern, re.IGNORECASE) for pattern in THANKS)
_COMMON = tuple(re.compile(pattern, re.IGNORECASE) for pattern in HELPER)
_BY_ROLE = {
    "persuader": tuple(re.compile(pattern, re.IGNORECASE) for pattern in GIVER),
    "seller": tuple(re.compile(pattern, re.IGNORECASE) for pattern in BUYER),
}


def speaks_as_the_user(situation: Situation, reply: str) -> str | None:
    """Return words that only the other side would say, if any."""
    # Whoever opens a conversation wants something, and thanks for help.
    thanks = _THANKS if situation.task.opens == "user" else ()
    patterns = (*thanks, *_COMMON, *_BY_ROLE.get(situation.task.system_role, ()))
    for sentence in sentences(own_words(reply)):
        for pattern in patterns:
            if found := pattern.search(sentence):
                return found.group()
    return None


def is_broken(situation: Situation, reply: str) -> str | None:
    """Return what is wrong with a reply's form, if anything: a label, no end, no words."""
    if len(re.findall(r"[A-Za-z]", reply)) < FEWEST_LETTERS:
        return "no words"
    if found := LABEL.search(reply):
        return found.group()
    if not END.search(reply.rstrip()):
        return "cut off"
    if len(reply.split()) >= situation.task.reply_words:
        return "too long"
    own = [" ".join(words(part)) for part in sentences(reply)]
    return "says a sentence twice" if len(set(own)) < len(own) else _stutters(reply)


def _stutters(reply: str) -> str | None:
    """Return three words that a reply says three times, if any."""
    tokens = words(reply)
    triples = [tuple(tokens[i : i + 3]) for i in range(len(tokens) - 2)]
    return next((" ".join(each) for each in triples if triples.count(each) > 2), None)
