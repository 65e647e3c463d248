"""Marked conversations are read; a malformed line and an unknown writer are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.graph.training.talks import Said, Talk, read_harmless, read_talks
from langgraph_cooper.ranker.data.dialogue import DataError

LINES = ["# crisis self_harm", "+\tIt is late.", "?\tHello.", "", "# harmless", "-\tAll\u2028well."]


def written(folder: Path, *lines: str, name: str = "t01_old.tsv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_conversations_are_read(tmp_path: Path) -> None:
    written(tmp_path, "# harmless", "-\tHello.", name="t02.tsv")
    assert read_talks(written(tmp_path, *LINES), held_out=["t02"]) == [
        Talk("t01", "crisis", "self_harm", [Said("+", "It is late."), Said("?", "Hello.")]),
        Talk("t01", "harmless", "", [Said("-", "All\u2028well.")]),
    ]


@pytest.mark.parametrize(
    "line",
    ["It is late.", "!\tIt is late.", "+\t ", "+ It is late.", "# crisis", "# crisis suicde",
     "# harmless but", "#1 in the charts"],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"t01_old\.tsv, line 3: begin a conversation"):
        read_talks(written(tmp_path, *LINES[:2], line))


def test_a_message_before_the_first_conversation_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1"):
        read_talks(written(tmp_path, "+\tIt is late."))


def test_a_folder_without_conversations_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no conversations to learn from"):
        read_talks(tmp_path)


def test_harmless_conversations_are_read(tmp_path: Path) -> None:
    file = tmp_path / "trial.txt"
    file.write_text("# esc\nHello.\n\nWell.\n# esc\n# persuasion\nNo.\n", encoding="utf-8")
    assert read_harmless(file) == [["Hello.", "Well."], ["No."]]
    for text, told in (("Hello.\n# esc\n", "line 1"), ("# esc\n", "holds no conversation")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=told):
            read_harmless(file)
