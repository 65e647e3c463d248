"""Reads what one message shows: by the phrases, and by a classifier of its meaning if there is one."""

from __future__ import annotations

from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, denies


def read_phrases(text: str) -> Finding:
    """Return what the phrases find; a plain denial is believed."""
    kind = crisis_kind(text)
    return Finding("certain", kind) if kind else Finding()
