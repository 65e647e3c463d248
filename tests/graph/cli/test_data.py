"""`cooper data split`: three files that are read again, and what cannot be split."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Dialogue
from langgraph_cooper.ranker.data.jsonl import write_annotated
from langgraph_cooper.ranker.data.reading import load_dialogues, read_dialogues
from tests.ranker.toys import toy_dialogues
from tests.support.commands import Cooper

ESC = load_task("esc")
PARTS = ("train", "valid", "test")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "data.jsonl"
    write_annotated(file, toy_dialogues(20))
    return file


def test_the_parts_are_read_again_and_hold_every_dialogue_once(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "split"
    done = cooper("data", "split", "--data", data, "--output", folder)
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{folder / 'train.jsonl'}: 16 dialogues",
        f"{folder / 'valid.jsonl'}: 2 dialogues",
        f"{folder / 'test.jsonl'}: 2 dialogues",
    ]
    loaded = [read_dialogues(folder / f"{part}.jsonl", ESC) for part in PARTS]
    assert {each.report.form for each in loaded} == {"annotated JSONL"}
    found = [dialogue for each in loaded for dialogue in each.dialogues]
    assert sorted(found, key=lambda d: d.id) == sorted(toy_dialogues(20), key=lambda d: d.id)
    assert cooper("data", "stats", folder / "valid.jsonl", "--json").json()["dialogues"] == 2


def test_the_seed_decides_and_the_order_does_not(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    """Dialogues without annotation, into two parts."""
    bare = [Dialogue(id=d.id, utterances=d.utterances) for d in toy_dialogues(20)]
    turned = tmp_path / "turned.jsonl"
    write_annotated(turned, bare[::-1])

    def valid(file: Path, name: str, *options: str) -> set[str]:
        folder = tmp_path / name
        command = ("data", "split", "--data", file, "--output", folder, "--shares", "0.7, 0.3")
        assert cooper(*command, *options).code == 0
        assert not (folder / "test.jsonl").exists()
        return {dialogue.id for dialogue in load_dialogues(folder / "valid.jsonl", ESC)}

    first = valid(data, "first")
    assert len(first) == 6
    assert valid(turned, "second", "--seed", "0") == first
    assert valid(data, "third", "--seed", "1") != first


@pytest.mark.parametrize(
    "shares", ["", "1", "0.8,0.1", "0.8,0.1,0.2", "1,0,0", "1.5,-0.5", "a,b,c", "nan,1", "1,2,inf",
               "0.4,0.3,0.2,0.1"],
)  # fmt: skip
def test_bad_shares_are_refused(shares: str, cooper: Cooper, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "split"
    done = cooper("data", "split", "--data", data, "--output", out, "--shares", shares)
    assert done.code == 2
    assert "--shares" in done.err
    assert not out.exists()


def test_what_cannot_be_split_is_one_error(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    few, out = tmp_path / "few.jsonl", tmp_path / "split"
    write_annotated(few, toy_dialogues(4))
    command = ("data", "split", "--output", out)
    cooper(*command, "--data", few).fails("few.jsonl holds too few dialogues (4)", "test.jsonl")
    cooper(*command, "--data", tmp_path / "none").fails("none cannot be read")
    assert not out.exists()
    out.mkdir()
    (out / "valid.jsonl").write_text("mine", "utf-8")
    cooper(*command, "--data", data).fails("valid.jsonl already exists", "--output")
    assert [file.name for file in out.iterdir()] == ["valid.jsonl"]
    cooper("data", "split", "--data", data, "--output", few / "x").fails("cannot be written")
