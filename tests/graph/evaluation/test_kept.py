"""Files of rows that a stopped run goes on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.graph.evaluation.kept import KeptRows, planned_rows
from langgraph_cooper.ranker.data.dialogue import DataError


def opened(file: Path, **settings: int) -> KeptRows:
    return KeptRows(file, "things", {"seed": 1, **settings})


def test_two_runs_do_not_write_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    one, other = opened(file), opened(file)
    with one.writing():
        one.add({"key": "a"})
        with pytest.raises(DataError, match="another run writes to"), other.writing():
            pass
    # What the other one read before is not what is there now.
    with pytest.raises(DataError, match="give the command again"), other.writing():
        pass
    with opened(file).writing():
        pass
    with one.writing():
        one.add({"key": "b"})
    assert list(opened(file).rows) == ["a", "b"]


def test_a_stopped_run_leaves_how_many_rows_were_planned(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert planned_rows(file) is None
    with (kept := opened(file)).writing():
        kept.plan(["a", "b", "c"])
        kept.add({"key": "b"})
    assert planned_rows(file) == 3
    with (kept := opened(file)).writing():
        kept.plan(["d", "e"])  # another system's; b stays
        kept.add({"key": "e"})
    assert planned_rows(file) == 3
    with (kept := opened(file)).writing():
        kept.plan(["a", "b", "c", "d", "e"])
    assert planned_rows(file) == 5
    assert list(opened(file).rows) == ["b", "e"]
    file.write_text("dear diary\n", "utf-8")
    assert planned_rows(file) is None


def test_a_half_row_goes_only_when_a_run_writes(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    with (kept := opened(file)).writing():
        kept.add({"key": "a"})
    whole = file.read_text("utf-8")
    file.write_text(whole + '{"key": "b", "te', "utf-8")
    again = opened(file)
    assert list(again.rows) == ["a"]
    assert file.read_text("utf-8") != whole
    with again.writing():
        assert file.read_text("utf-8") == whole
    with pytest.raises(DataError, match=r"another setting \(seed: 1 there, 2 now\)"):
        opened(file, seed=2)
    with pytest.raises(DataError, match="holds something else than others"):
        KeptRows(file, "others", {})
