"""What the user asked not to get: advice, questions, a therapist's address."""

from __future__ import annotations

import re
from collections.abc import Iterable

from langgraph_cooper.nodes.language.text import sentences

KINDS: dict[str, str] = {
    "advice": (
        r"advice|suggest\w*|solutions?|tips|fix(?:ed|ing)?|being told what to do|told what to do|"
        r"tell me what to do|lectur\w*|ideas"
    ),
    "therapy": r"therap\w*|counsell?\w*|shrinks?|psycholog\w*|psychiatr\w*|professional\w*",
    "breathing": r"breath\w*|meditat\w*|mindful\w*|relax\w*|calm(?: down)?",
    "doctors": r"doctors?|medic\w*|pills?|drugs|hospital",
    "questions": r"questions?|ask(?:ing)? (?:me|so|again|more)|interrogat\w*|keep asking",
    "pity": r"pity|sympathy|sorry",
    "cheer": (
        r"cheer\w* (?:me )?up|positiv\w*|bright side|silver lining|it(?: will|'ll) be (?:ok|okay|"
        r"fine)|it gets better|get better|everything happens for a reason|platitud\w*"
    ),
    "faith": r"pray\w*|god|church|religio\w*|faith|bible",
    "exercise": r"exercis\w*|work(?:ing)? out|gym|walks?|yoga|sports?|running",
    "journal": r"journal\w*|diary|writ(?:e|ing) (?:it |things |my \w+ )?down",
    "money": (
        r"donat\w*|money|giv(?:e|ing)(?! up| me| in\b| him| her| it a| (?:\w+ )?(?:advice|tips|"
        r"ideas))|pay(?:ing)?"
    ),
}
"""Kind -> pattern of the words that name it."""

REFUSES = re.compile(
    r"(?:\bno (?:more )?(?P<no>[^.,;!?]{2,40}?),? (?:please|pls|thanks|thank you|today|at all)\b|"
    r"\bno more (?P<more>[^.,;!?]{2,40})|\b(?:please )?(?:do not|don't|dont|never|stop|quit|can "
    r"you not|could you not) (?:just |even |you |keep |ever )*(?:tell|telling|ask|asking|give|"
    r"giving|suggest|suggesting|say|saying|send|sending|talk|talking|mention|mentioning|"
    r"recommend|recommending|bring|bringing|push|pushing|start|preach|preaching|offer|"
    r"offering)(?: me| to me| on me)?(?: with)?(?P<dont>[^.,;!?]*)|\b(?:i|i really|i just) (?:do "
    r"not|don't|dont|did not|didn't) (?:really |even |actually )?(?:want|need|like|believe in|"
    r"come here for|care for|feel like|trust)(?P<want>[^.,;!?]*)|\b(?:anything but|everything "
    r"but|spare me|sick of|tired of|fed up with|enough of|hate when people say|hate being told|"
    r"had enough of|not interested in|not looking for|not asking for|rather not (?:talk|hear|"
    r"discuss|be told)|can't stand|hate)(?P<sick>[^.,;!?]*)|\b(?:leave|keep) (?P<out>\w+) out "
    r"of\b|\bwithout (?:any )?(?P<without>advice|questions?|therap\w+|judg\w+))",
    re.IGNORECASE,
)
WANTS = re.compile(
    r"\b(?:now i (?:do )?(?:want|need)|i do (?:want|need)|i(?:'d| would) (?:like|love|"
    r"appreciate)|do you have|any|can you (?:give|suggest|recommend)|could you (?:give|suggest|"
    r"recommend)|what (?:should|can|could|do you think i should) i|what would you (?:do|suggest|"
    r"recommend)|give me|please (?:suggest|recommend|advise)|tell me what|how (?:do|can|should|"
    r"could) i)\b",
    re.IGNORECASE,
)
NEGATED = re.compile(r"\b(?:don't|dont|do not|not|never|no|stop|without|n't)\b", re.IGNORECASE)

AGREES = re.compile(
    r"\b(?:i(?:'ll| will| can| could| would|'d| want to| wouldn't mind| am going to|'m going to)|"
    r"you convinced|count me in|ok(?:ay)?|fine|yes|sure)\b[^.!?]*\b(?:donat|giv|spare|convinced|"
    r"dollars?|cents)",
    re.IGNORECASE,
)


def refused(texts: Iterable[str]) -> list[str]:
    """Return the kinds (`KINDS`) that the user has refused and not asked for since."""
    found: dict[str, bool] = {}
    for text in texts:
        plain = text.replace("’", "'")
        for part in sentences(plain):
            objects = [match.group() for match in REFUSES.finditer(part)]
            for kind, what in KINDS.items():
                if any(re.search(rf"\b(?:{what})\b", each, re.IGNORECASE) for each in objects):
                    found[kind] = True
                elif kind in found and _asks_for(part, kind, what):
                    found[kind] = False
    return [kind for kind, is_refused in found.items() if is_refused]


def _asks_for(sentence: str, kind: str, what: str) -> bool:
    if kind == "money" and AGREES.search(sentence) and not REFUSES.search(sentence):
        return True
    if NEGATED.search(sentence) or not WANTS.search(sentence):
        return False
    named = re.search(rf"\b(?:{what})\b", sentence, re.IGNORECASE) is not None
    return named or (kind == "advice" and "?" in sentence)
