"""What the user asked not to be told, has tried already, or has put aside is not told."""

from __future__ import annotations

import re
from collections.abc import Iterable

from langgraph_cooper.nodes.finetuned.rules.situation import Situation, bare_words
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play

# What a reply does when it gives what was refused.
ADVISES = (
    r"\byou (?:should|could|can|might|may|need to|must|ought|have to|'d better)\b|\bhave you "
    r"(?:tried|considered|thought|looked|talked|spoken|asked)\b|\bwhy (?:don't|not) you\b|\bhow "
    r"about\b|\bwhat about\b|\bi (?:would |'d )?(?:suggest|recommend|advise)\b|\btry\b|\bmaybe "
    r"(?:you|it would help)|\bperhaps (?:you|it would help)\b|\bit (?:may|might|could|would|can) "
    r"(?:help|be (?:good|helpful|worth|wise|best))\b|\bi'd (?:start|begin|talk)\b|\bone (?:idea|"
    r"thing you|option|way)\b|\bthe (?:best|first) (?:thing|step)\b|^(?:make|take|write|talk|"
    r"call|go|start|think about|focus|remember to|tell (?:him|her|them)|ask (?:him|her|them)|"
    r"consider|set|give yourself|let yourself)\b"
)
MONEY = "money"
KINDS: dict[str, tuple[str, str]] = {
    # The first pattern finds what was refused; the second, what gives it all the same.
    "advice": (
        r"advice|suggest\w*|solutions?|tips|fix(?:ed|ing)?|being told what to do|told what to do|"
        r"tell me what to do|lectur\w*|ideas",
        ADVISES,
    ),
    "therapy": (
        r"therap\w*|counsell?\w*|shrinks?|psycholog\w*|psychiatr\w*|professional\w*",
        r"\btherap|\bcounsel|\bpsycholog|\bpsychiatr|\bprofessional|\bsomeone trained|"
        r"\bspecialist|\bmental health (?:expert|worker)",
    ),
    "breathing": (
        r"breath\w*|meditat\w*|mindful\w*|relax\w*|calm(?: down)?",
        r"\bbreath|\bmeditat|\bmindful|\brelax|\bcalm (?:down|yourself)|\bstay calm",
    ),
    "doctors": (
        r"doctors?|medic\w*|pills?|drugs|hospital",
        r"\bdoctor|\bmedic|\bpills?\b|\bprescri|\bhospital|\bGP\b",
    ),
    "questions": (
        r"questions?|ask(?:ing)? (?:me|so|again|more)|interrogat\w*|keep asking",
        r"\?",
    ),
    "pity": (
        r"pity|sympathy|sorry",
        r"\bsorry\b|\bpoor you\b|\bsad to hear\b",
    ),
    "cheer": (
        r"cheer\w* (?:me )?up|positiv\w*|bright side|silver lining|it(?: will|'ll) be (?:ok|okay|"
        r"fine)|it gets better|get better|everything happens for a reason|platitud\w*",
        r"\bpositiv|\bbright side|\bsilver lining|\bwill (?:all )?be (?:ok|okay|fine|alright)|"
        r"\bgets? better|\bthings will\b|\bfor a reason\b|\bcheer up\b|\bhope for the best\b",
    ),
    "faith": (
        r"pray\w*|god|church|religio\w*|faith|bible",
        r"\bpray|\bgod\b|\bchurch|\bfaith|\bbible|\bjesus|\blord\b|\bbless",
    ),
    "exercise": (
        r"exercis\w*|work(?:ing)? out|gym|walks?|yoga|sports?|running",
        r"\bexercis|\bwork(?:ing)? out|\bgym\b|\bwalk|\byoga|\bjog|\brunning\b",
    ),
    "journal": (
        r"journal\w*|diary|writ(?:e|ing) (?:it |things |my \w+ )?down",
        r"\bjournal|\bdiary|\bwrit(?:e|ing) (?:it|things|down|your)",
    ),
    MONEY: (
        r"donat\w*|money|giv(?:e|ing)(?! up| me| in\b| him| her| it a| (?:\w+ )?(?:advice|tips|"
        r"ideas))|pay(?:ing)?",
        r"\bdonat|\bwould you (?:like to |be willing to )?give|\bhow much would you\b|\bspare\b|"
        r"\beven a (?:small|few|dollar)|\bgive (?:a|just|some)\b",
    ),
}

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
ABOUT = re.compile(
    r"\b(?:nothing to do with|not about|isn't about|is not about|has nothing to do with|don't "
    r"want to talk about|do not want to talk about|rather not talk about|stop talking about|"
    r"don't mention|not because of|can we (?:not|stop) talk(?:ing)? about) (?:the |my |a |an |"
    r"any |that |this )?([\w' ]+)",
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
TRIED = re.compile(
    r"\b(?:already|have|i've|ive|i) (?:already |have |also |even )*(?:tried|did try|"
    r"done)(?P<what>[^.;!?]*)|\b(?:already|have already|i've already) (?P<verb>\w+ed|talked|"
    r"spoke|spoken|went|gone|saw|seen|wrote|written|did|done|applied|asked|told)(?P<rest>[^.;!?]*)",
    re.IGNORECASE,
)
DULL = frozenset(
    [
        "a", "an", "the", "to", "it", "that", "this", "my", "me", "i", "you", "your", "with",
        "about", "and", "or", "but", "for", "of", "in", "on", "at", "so", "just", "all", "any",
        "some", "him", "her", "them", "his", "their", "he", "she", "they", "is", "was", "are", "be",
        "been", "do", "did", "does", "not", "no", "more", "very", "too", "also", "even", "already",
        "tried", "trying", "done", "something", "anything", "everything", "things", "thing", "what",
        "how", "when", "who", "why", "there", "here", "out", "up", "get", "got", "go", "going",
        "want", "need", "like", "really", "please", "ever", "people", "someone", "anyone", "us",
        "we", "have", "has", "had", "feel", "feeling", "before", "now", "again", "still", "much",
        "many", "lot", "want",
    ]
)  # fmt: skip


def gives_what_was_refused(situation: Situation, reply: str) -> str | None:
    """Return what the user asked not to be told and the reply tells, if anything."""
    lowered = reply.replace("’", "'")
    for kind in _refused_in(situation):
        if found := re.search(KINDS[kind][1], lowered, re.IGNORECASE):
            return f"{kind}: {found.group()}"
        if kind == "advice" and any(
            re.search(ADVISES, part, re.IGNORECASE) for part in sentences(lowered)
        ):
            return kind
    return None


def _refused_in(situation: Situation) -> list[str]:
    """Return the kinds that the user has refused; of money, what the task's subjects say."""
    kinds = refused(situation.user_texts)
    decided = [s.decision for s in subjects_in_play(situation.task.subjects, situation.said)]
    if "agrees" in decided:  # the later of the two, which ends the other
        return [kind for kind in kinds if kind != MONEY]
    return [*kinds, MONEY] if "refuses" in decided and MONEY not in kinds else kinds


def refused(texts: Iterable[str]) -> list[str]:
    """Return the kinds (`KINDS`) that the user has refused and not asked for since."""
    found: dict[str, bool] = {}
    for text in texts:
        plain = text.replace("’", "'")
        for part in sentences(plain):
            objects = [match.group() for match in REFUSES.finditer(part)]
            for kind, (what, _) in KINDS.items():
                if any(re.search(rf"\b(?:{what})\b", each, re.IGNORECASE) for each in objects):
                    found[kind] = True
                elif kind in found and _asks_for(part, kind, what):
                    found[kind] = False
    return [kind for kind, is_refused in found.items() if is_refused]


AGREES = re.compile(
    r"\b(?:i(?:'ll| will| can| could| would|'d| want to| wouldn't mind| am going to|'m going to)|"
    r"you convinced|count me in|ok(?:ay)?|fine|yes|sure)\b[^.!?]*\b(?:donat|giv|spare|convinced|"
    r"dollars?|cents)",
    re.IGNORECASE,
)


def _asks_for(sentence: str, kind: str, what: str) -> bool:
    if kind == MONEY and AGREES.search(sentence) and not REFUSES.search(sentence):
        return True
    if NEGATED.search(sentence) or not WANTS.search(sentence):
        return False
    named = re.search(rf"\b(?:{what})\b", sentence, re.IGNORECASE) is not None
    return named or (kind == "advice" and "?" in sentence)


def returns_to(situation: Situation, reply: str) -> str | None:
    """Return a subject that the user has just put aside and that the reply brings up, if any."""
    said = set(bare_words(reply))
    for text in situation.user_texts[-3:]:
        for match in ABOUT.finditer(text.replace("’", "'")):
            subject = [word for word in bare_words(match.group(1))[:3] if word not in DULL]
            if subject and subject[0] in said:
                return subject[0]
    return None


def suggests_what_was_tried(situation: Situation, reply: str) -> str | None:
    """Return a word of what the user has tried already and the reply suggests, if any."""
    advice = {
        stem(word)
        for part in sentences(reply.replace("’", "'"))
        if re.search(ADVISES, part, re.IGNORECASE)
        for word in bare_words(part)
        if word not in DULL
    }
    if not advice:
        return None
    for text in situation.user_texts[-4:]:
        for match in TRIED.finditer(text.replace("’", "'")):
            told = " ".join(group for group in match.groups() if group)
            tried = [stem(word) for word in bare_words(told)[:8] if word not in DULL]
            if tried and tried[0] in advice:
                return tried[0]
    return None


SAME = {"spoke": "talk", "spoken": "talk", "speak": "talk", "told": "tell", "wrote": "write",
        "written": "write", "saw": "see", "seen": "see", "went": "go"}  # fmt: skip


def stem(word: str) -> str:
    """Return a word without its ending: "talking" and "talked" are "talk"."""
    word = SAME.get(word, word)
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return SAME.get(word, word.rstrip("e"))
