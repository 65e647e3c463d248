"""A direct question gets an answer, or an honest "I don't know"."""

from __future__ import annotations

import re
from typing import Literal

from langgraph_cooper.nodes.finetuned.relevance import content_words
from langgraph_cooper.nodes.finetuned.rules.situation import Situation
from langgraph_cooper.nodes.language.text import sentences, words

Kind = Literal["identity", "meaning", "amount", "yes-no", "how", "advice", "open"]

HONEST = (
    "I don't know, and I don't want to guess.",
    "I can't say for sure, to be honest with you.",
    "That's something I really don't know.",
    "I have no good answer to that, I'm afraid.",
)
"""Said if no other candidate answers; a task with facts has better words in its bank."""

IDENTITY = re.compile(
    r"\b(?:are|r) (?:you|u|we talking to|i (?:talking|speaking|chatting) (?:to|with))? "
    r"?(?:really |actually |even |just )*(?:an? |some )?(?:real |actual |human )*(?:robot|bot|"
    r"person|human|real|ai|machine|program|computer|chatbot|therapist|counsel\w+|doctor|"
    r"psychologist|professional)\b|\bwho (?:are|r) (?:you|u)\b|\bwhat are you\b(?! (?:doing|"
    r"saying|talking|up|on|thinking|selling|asking))|\bam i (?:talking|speaking|chatting|"
    r"writing) (?:to|with)\b|\bis this (?:an? )?(?:real|bot|ai|robot|human|person|machine)|"
    r"\bwhat(?:'s| is) your name\b|\bhow old are you\b|\bwhere (?:are you from|do you live)\b|"
    r"\bdo you have (?:kids|children|a family|feelings|friends)\b|\bhave you ever (?:been|had|"
    r"felt|lost)\b",
    re.IGNORECASE,
)
SELF = re.compile(
    r"\b(?:ai|program|software|computer|machine|artificial|chat partner|not (?:a )?human|"
    r"automated|no name|listener)\b",
    re.IGNORECASE,
)
QUESTION = re.compile(
    r"^(?:and |but |so |ok |okay |well |then |now |yes |no |hmm |hey |sorry |please |thanks |by "
    r"the way,? |also |anyway |,)*(?:what|who|whom|whose|which|where|when|why|how|is|are|am|was|"
    r"were|do|does|did|can|could|should|would|will|have|has|may|shall|any)\b",
    re.IGNORECASE,
)
ADVICE = re.compile(
    r"\bwhat (?:should|can|could|shall|do) (?:i|we) (?:do|say|tell|try)|\bwhat would you (?:do|"
    r"say|suggest)|\bwhat do you (?:suggest|recommend|think i|advise)|\bany (?:advice|ideas?|"
    r"suggestions?|tips)|\bdo you have (?:any )?(?:advice|ideas?|suggestions?|tips)|\bshould i\b|"
    r"\badvice\b.*\bplease\b|\bi do want (?:some )?advice|\b(?:can|could) you (?:help|give me|"
    r"suggest|advise)",
    re.IGNORECASE,
)
HOW = re.compile(r"\bhow (?:do|can|could|should|would|to|am i|did|might)\b", re.IGNORECASE)
AMOUNT = re.compile(
    r"\bhow (?:much|many|old|long|far|big|tall)\b|\bwhat (?:price|percentage|percent|share|size|"
    r"year|do you want for)|\bwhat(?:'s| is) (?:the|your) (?:\w+ )?(?:price|lowest|least|cost)|"
    r"\blowest\b",
    re.IGNORECASE,
)
MEANING = re.compile(r"\bwhat (?:do|did) you mean\b|\bwhat does that mean\b|^huh\b|^what\?$",
                     re.IGNORECASE)  # fmt: skip
YES_NO = re.compile(
    r"(?:^|, )(?:and |but |so |ok |okay |well |then |now |hey |,)*(?:is|are|am|was|were|do|does|"
    r"did|can|could|would|will|have|has|may)\b",
    re.IGNORECASE,
)

UNSURE = re.compile(
    r"\b(?:don't|do not|can't|cannot|can not|won't) (?:really |honestly |actually )?(?:know|say|"
    r"tell|guess|answer|quote|see|judge)|\bnot (?:really |entirely |quite )?sure\b|\bno (?:good "
    r")?(?:answer|idea)|\bhard to (?:say|know|tell)|\bthe best (?:source|person to)|\brather not "
    r"guess",
    re.IGNORECASE,
)
SUGGESTS = re.compile(
    r"\byou (?:could|can|might|may|should|don't have to|need|want to)\b|\btry\b|\bmaybe\b|"
    r"\bperhaps\b|\bhow about\b|\bstart(?:ing)?\b|\bit (?:may|might|could|can|would|often|"
    r"sometimes)? ?helps?\b|\bi(?:'d| would) (?:say|suggest|tell|start|talk|think|ask|recommend|"
    r"write|take)|\b(?:one|a) (?:way|idea|option|first step|small step|thing)\b|\bby \w+ing\b|"
    r"\bsome people\b|\bmany people\b|\bi think\b|\bwhat if you\b|\bhave you (?:tried|thought|"
    r"considered)|\blet's\b|\bif you\b|^(?:tell|ask|write|take|be|choose|pick|say|give|look|go|"
    r"find|talk)\b",
    re.IGNORECASE,
)
DECIDES = re.compile(
    r"^(?:yes|yeah|yep|no|nope|of course|absolutely|certainly|definitely|sure|not (?:really|at "
    r"all|yet|that)|it is|it's|that is|that's|it can|it does|they (?:are|do|can)|i (?:do|don't|"
    r"can|can't|think|am|would|will|did|didn't)|i'm|i'd|you (?:are|aren't|can|could|do|don't)|"
    r"many|most|some|maybe|perhaps|both|either|there (?:is|are)|possibly|probably|anyone|"
    r"everyone|nobody|feeling|fine|all right|alright|okay|deal|absolutely|exactly|right|"
    r"sometimes|often|always|never)\b|\b(?:normal|common|natural|okay to|understandable|possible|"
    r"allowed)\b",
    re.IGNORECASE,
)
CLARIFIES = re.compile(
    r"\b(?:i (?:mean|meant|was asking|wanted to (?:know|say|ask)|am asking|asked)|what i mean|in "
    r"other words|let me (?:say|put|explain)|sorry (?:if|that|for)|i'll (?:say|put)|that is to "
    r"say|unclear)\b",
    re.IGNORECASE,
)
NUMBERS = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|hundred|any size|as much as|as little|"
    r"free|half|any amount|any sum)\b",
    re.IGNORECASE,
)


def question_of(text: str) -> tuple[Kind, str] | None:
    """Return the kind and words of the last direct question in a text, if there is one."""
    for sentence in reversed(sentences(text.replace("’", "'"))):
        plain = sentence.strip()
        if IDENTITY.search(plain):
            return "identity", plain
        if ADVICE.search(plain):
            return "advice", plain
        asks = plain.endswith("?") and (QUESTION.match(plain) or len(words(plain)) > 3)
        if not asks and not (QUESTION.match(plain) and HOW.match(plain)):
            continue
        if MEANING.search(plain):
            return "meaning", plain
        if AMOUNT.search(plain):
            return "amount", plain
        if HOW.search(plain):
            return "how", plain
        return ("yes-no" if YES_NO.match(plain) else "open"), plain
    return None


def answers(situation: Situation, reply: str) -> float:
    """Return how well a reply answers the user's direct question, from 0 to 1; 1 without one."""
    asked = question_of(situation.last)
    if asked is None or SMALL_TALK.search(situation.last):
        return 1.0
    kind, question = asked
    if kind == "identity":
        return float(bool(SELF.search(reply)))
    told = [part for part in sentences(reply.replace("’", "'")) if not part.endswith("?")]
    if any(UNSURE.search(part) for part in told):
        return 0.8
    if kind in ("advice", "how") and any(SUGGESTS.search(part) for part in sentences(reply)):
        return 1.0
    if kind == "meaning":
        return float(bool(CLARIFIES.search(reply)))
    if kind == "amount":
        return float(any(NUMBERS.search(part) for part in told))
    if kind == "yes-no" and any(DECIDES.search(part) for part in told):
        return 1.0
    # An open question is answered by a statement about what it asks.
    shared = content_words(" ".join(told)) & content_words(question)
    return 0.7 if shared else 0.3 if told else 0.0


SMALL_TALK = re.compile(
    r"\bhow (?:are|r) (?:you|u)\b|\bhow(?:'s| is) it going\b|\bwhat'?s up\b|\bhow do you do\b|"
    r"\band you\?|\bare you (?:there|still there)\b",
    re.IGNORECASE,
)
