"""Reads messages that came one after another, singly and joined."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_cooper.nodes.crisis.course import TIERS, Finding, Reader
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.crisis.reading import ends
from langgraph_cooper.prompts import CrisisKind

MOST = 3  # messages that are read as one: "I want to" / "kill myself"


def found_in(said: Sequence[str], new: Sequence[str], read: Reader) -> Finding:
    """Return the gravest finding of a user's new messages, singly and joined.

    They are also joined with the ones before, where only that makes a phrase.

    Args:
        said: What the user said before.
        new: At least one message.
        read: Finds what one message shows.
    """
    found = [read(text, [*said, *new[:place]]) for place, text in enumerate(new)]
    if len(new) > 1:
        found.append(read(" ".join(new), said))
    earlier = said[1 - MOST :]
    texts = [ends(text) for text in (*earlier, *new)]
    for end in range(len(earlier) + 1, len(texts) + 1):
        for count in range(2, min(MOST, end) + 1):
            joined = texts[end - count : end]
            if kind := _made(joined):
                # A phrase is certain unless the meaning of it all is plainly another.
                meant = read(" ".join(joined))
                found.append(Finding("certain", kind) if meant.tier != "none" else meant)
    return max(found, key=lambda one: (TIERS.index(one.tier), not one.faint, -_gravity(one.kind)))


def _made(joined: Sequence[str]) -> CrisisKind | None:
    """Return the kind of a phrase that all of the messages make, and neither all but one of them.

    A message that has a phrase of its own is read for its meaning.
    """
    kind = crisis_kind(" ".join(joined))
    parts = (joined[:-1], joined[1:])
    return None if kind in [crisis_kind(" ".join(part)) for part in parts] else kind


def _gravity(kind: CrisisKind | None) -> int:
    """Return the place of a kind in the phrase file, whose order is that of gravity."""
    kinds = [each.name for each in phrases().kinds]
    return kinds.index(kind) if kind else len(kinds)
