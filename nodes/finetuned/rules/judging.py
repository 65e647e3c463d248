"""A reply does not accuse, blame or look down on the user."""

from __future__ import annotations

import re

from langgraph_cooper.nodes.finetuned.rules.situation import Situation, own_words
from langgraph_cooper.nodes.language.text import sentences

FAULTS = (
    r"lying|a liar|liars|dishonest|deceiving|cheating|a cheater?|unfaithful|stealing|selfish|"
    r"self-centered|greedy|lazy|stupid|dumb|foolish|a fool|an idiot|weak|a coward|cowardly|"
    r"pathetic|worthless|useless|a loser|a failure|a burden|a disappointment|a bad \w+|"
    r"a terrible \w+|a horrible \w+|an awful \w+|bad at \w+|not good enough|ungrateful|"
    r"irresponsible|immature|childish|needy|clingy|dramatic|a drama queen|spoiled|arrogant|rude|"
    r"mean|cruel|abusive|abusing \w+|crazy|insane|delusional|paranoid|hysterical|ridiculous|"
    r"too sensitive|overly sensitive|overreacting|exaggerating|making excuses|making (?:it|this) "
    r"up|imagining (?:it|things|this)|guilty of|to blame|at fault|the (?:one to blame|"
    r"problem|reason (?:why )?(?:he|she|they|it))|wrong|ugly|fat|disgusting|manipulative|toxic|"
    r"controlling|hiding (?:something|the truth)|neglecting|failing|ruining|wasting"
)
SOFTLY = (
    r"(?:\w+ly|just|so|too|such|very|more|than|likely|being|maybe|perhaps|also|still|often|a bit|"
    r"a little|kind of|sort of)"
)
BE = (
    r"(?:you(?:'re| are| were| must be| seem(?: to be)?| sound(?: like)?| look(?: like)?|"
    r"(?:'ve| have) been| might be| may be| could be| can be| should stop being|'d be| would be)|"
    r"(?:are|were|aren't|weren't) you|stop(?: being)?)"
)
ACCUSES = (
    rf"\b{BE}(?: {SOFTLY})* (?:{FAULTS})\b",
    r"(?<!not )(?<!n't )(?<!never )\b(?:all |entirely |partly )?your (?:own )?(?:fault|failure|"
    r"mistake|doing)\b",
    r"\bshame on you\b|\byou should (?:be|feel) (?:ashamed|guilty|embarrassed|bad)\b",
    r"\byou should(?:'ve| have) (?:known|thought|seen|tried|listened)\b|"
    r"\byou should(?:n't| not) have (?!to\b)",
    r"\byou (?:probably |really |clearly |certainly |must have )?(?:deserved|asked for|brought|"
    r"caused) (?:it|this|that)\b",
    r"\byou(?:'ve| have)? (?:really |clearly |already )?(?:failed (?:as|him|her|them|your "
    r"\w+(?<!s)\b)|let (?:him|her|them|your \w+|everyone|everybody|people) "
    r"down|lied|cheated|ruined|messed up|screwed up|gave up too)\b",
    r"\byou (?:clearly |obviously |really |just )*(?:don't|do not|didn't|did not) (?:really |"
    r"even )?(?:care|love|try|listen|deserve|want to (?:change|work|get better))\b",
    r"\bwhat(?:'s| is) wrong with you\b|\bget over (?:it|yourself)\b|\bgrow up\b|\bman up\b|"
    r"\bstop (?:whining|complaining|crying|feeling sorry)\b|\bsnap out of\b",
    r"\bnobody (?:likes|loves|wants|needs) you\b|\bno one (?:likes|loves|wants|needs) you\b",
)
DENIED = re.compile(
    r"(?:n't|\b(?:is|was|are|were|do|does|did|would|should)nt|\b(?:not|never|no|nobody|without|"
    r"rather than|instead of|feel(?:s|ing)?|felt|fear|afraid|worry|worried|(?<!i )think(?:ing)?|"
    r"thought|believe|believing|told|tells|says?|saying|said|called|calls|calling|call|claims?|"
    r"accus\w+|makes? you|made you|as (?:if|though)|if))\b",
    re.IGNORECASE,
)
"""Before an accusation, in the same sentence: it is denied, or somebody's opinion or fear."""

_ACCUSES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in ACCUSES)


def accuses(_situation: Situation, reply: str) -> str | None:
    """Return words that accuse or belittle the user, if any: "you are lying to her".

    What is denied ("you are not selfish") or told as a feeling or another's opinion ("you feel that
    you let her down") accuses nobody.
    """
    for sentence in sentences(own_words(reply)):
        for pattern in _ACCUSES:
            for found in pattern.finditer(sentence):
                if not DENIED.search(sentence[: found.start()]):
                    return found[0]
    return None
