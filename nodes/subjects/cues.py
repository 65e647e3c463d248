"""Finds the subjects of a message by their cue words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.prompts import Subject
from langgraph_cooper.prompts.task import Cues

# Words that may stand between a cue and what rules it out: "it really hit me".
BETWEEN = "(?:also|always|just|often|really|sometimes|still|suddenly)"
# More characters than the longest of these words takes with its spaces.
BETWEEN_LENGTH = 16
# "He controls my life, hits me": what rules a cue out stands in its own clause.
CLAUSE_END = re.compile(
    r"[,;:()\u2013\u2014]|\s-+\s"
    r"|\s(?=(?:and|but|though|although|however|because|so(?=\s+i\b))\b)",
    re.IGNORECASE,
)


def cued(subjects: tuple[Subject, ...], text: str) -> tuple[Subject, ...]:
    """Return the task's subjects whose cues one message holds, in the task's order.

    What rules a cue out in its sentence is minded, and what other subjects rule out is not.
    """
    return _finder(subjects)(text)


@lru_cache(maxsize=32)
def _finder(subjects: tuple[Subject, ...]) -> Callable[[str], tuple[Subject, ...]]:
    """Return what finds a task's subjects in a text, by one pattern per subject.

    A task has about a thousand cues: compile them once.
    """
    readers = [
        (subject, [_meant(subject), *(_meant(more, subject) for more in subject.more)])
        for subject in subjects
    ]

    @remembered(4096)
    def found(text: str) -> tuple[Subject, ...]:
        parted = [_clauses(sentence) for sentence in sentences(text)]
        return tuple(s for s, read in readers if any(meant(parted) for meant in read))

    return found


def _clauses(sentence: str) -> list[str]:
    """Return the clauses of a sentence as plain words: "Never before, but I can give"."""
    parts = (" ".join(words(clause)) for clause in CLAUSE_END.split(sentence))
    return [part for part in parts if part]


def _meant(own: Cues, *shared: Cues) -> Callable[[list[list[str]]], bool]:
    """Return what says whether the sentences' clauses hold a cue that nothing rules out.

    Args:
        own: The cues and what rules them out.
        shared: Others whose rules hold for these cues, too.
    """
    rules = (own, *shared)
    cue = _pattern(own.cues)
    after = [phrase for one in rules for phrase in one.not_after]
    under = [phrase for one in rules for phrase in one.not_under]
    beside = [phrase for one in rules for phrase in one.not_with]
    if not (after or under or beside):
        # Such a cue may reach over a comma: "No, thank you".
        return lambda parted: bool(cue.search(" ".join(itertools.chain(*parted))))
    directly = re.compile(rf"(?<![\w'])(?:{_any_of(after)}) (?:{BETWEEN} )?$")
    # A clause may hold a thousand cues: look back from each no further than a phrase can reach.
    reach = BETWEEN_LENGTH + max(map(len, after), default=0)
    anywhere, with_it = _pattern(under), _pattern(beside)

    def meant(clause: str) -> bool:
        ruling = anywhere.search(clause)
        end = ruling.start() if ruling else len(clause)
        starts = itertools.takewhile(
            lambda at: at <= end, (m.start() for m in cue.finditer(clause))
        )
        return any(not directly.search(clause, max(0, at - reach), at) for at in starts)

    def holds(clauses: list[str]) -> bool:
        return any(map(meant, clauses)) and not with_it.search(" ".join(clauses))

    return lambda parted: any(holds(clauses) for clauses in parted)


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w'])(?:{_any_of(phrases)})(?![\w'])")


def _any_of(phrases: Sequence[str]) -> str:
    plain = [re.escape(" ".join(words(phrase))) for phrase in phrases if words(phrase)]
    # A phrase without words (":-)") would match every text without words.
    return "|".join(plain) or "(?!)"
