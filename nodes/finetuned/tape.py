"""What the fine-tuned generator drew in a conversation, kept or played again.

CTranslate2 has a source of chance for each of its threads: the same seed may draw other samples the
second time, so that a conversation can be run again only from what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol


class SampleTape(Protocol):
    """Keeps draws, or plays them again."""

    def samples(self, seed: int, draw: Callable[[], list[str]]) -> list[str]:
        """Return the samples of a turn, drawn now or earlier."""


SAMPLES: ContextVar[SampleTape | None] = ContextVar("cooper_samples", default=None)
"""The tape of the conversation that runs, if any."""


def drawn(seed: int, draw: Callable[[], list[str]]) -> list[str]:
    """Return samples through the conversation's tape."""
    tape = SAMPLES.get()
    return draw() if tape is None else tape.samples(seed, draw)
