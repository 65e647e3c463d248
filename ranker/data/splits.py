"""Splitting dialogues by their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue


def split_dialogues(
    dialogues: Sequence[Dialogue], fractions: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0
) -> list[list[Dialogue]]:
    """Split dialogues by a hash of seed and id, so that their order in the file does not matter.

    Args:
        dialogues: Dialogues with distinct ids.
        fractions: Share of each part; they add up to 1.
        seed: Another seed gives another split.

    Returns:
        One list per fraction, each in the order of `dialogues`.

    Raises:
        DataError: The fractions do not add up to 1.
    """
    if abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0:
        raise DataError(f"the shares of a split must add up to 1, not {list(fractions)}")

    def key(position: int) -> bytes:
        return hashlib.sha256(f"{seed}:{dialogues[position].id}".encode()).digest()

    shuffled = sorted(range(len(dialogues)), key=key)
    parts, start, share = [], 0, 0.0
    for fraction in fractions:
        share += fraction
        end = round(share * len(dialogues))
        parts.append([dialogues[i] for i in sorted(shuffled[start:end])])
        start = end
    return parts
