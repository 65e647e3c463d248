"""A reader of replies whose verdicts a test knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from langgraph_cooper.nodes.offline.fitting import Floats


class ScriptedReader:
    """Accepts what holds a word, and nothing else."""

    reads = True

    def __init__(self, word: str, sure: float = 0.9) -> None:
        self._word, self._sure = word, sure
        self.read: set[tuple[str, str]] = set()

    def weigh(self, said: str, replies: Sequence[str], chances: Sequence[float]) -> Floats:
        assert len(replies) == len(chances)
        return self.acceptable(said, replies)

    def acceptable(self, said: str, replies: Sequence[str]) -> Floats:
        self.read |= {(said, reply) for reply in replies}
        return np.array([self._sure if self._word in r else 0.1 for r in replies], np.float32)
