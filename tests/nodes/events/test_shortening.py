"""Texts fit into an event, in whatever letters."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.events import pieces, shortened, size


@pytest.mark.parametrize("text", ["", "a", "é" * 999, "😀" * 999, "\0" * 999, "\ud800" * 999])
def test_texts_are_cut_by_their_bytes_as_json(text: str) -> None:
    assert size(shortened(text, 300)) <= 300
    parts = list(pieces(text, 100))
    assert "".join(parts) == text.encode("utf-8", "replace").decode()
    assert all(size(part) <= 100 for part in parts)
