"""Annotated JSONL: round trip, and each malformed line named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import (
    finished_lines,
    read_annotated,
    remove_unfinished_line,
    replacing,
    write_annotated,
)
from tests.ranker.toys import said, toy_dialogue, toy_dialogues


def fields(number: int = 0) -> dict[str, Any]:
    return toy_dialogue(number).model_dump(mode="json")


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_round_trip_keeps_every_character(tmp_path: Path) -> None:
    odd = fields()
    odd["utterances"][0]["text"] = 'caf\u00e9 {x} "quoted"\u2028next\n\ttab'
    dialogues = [AnnotatedDialogue.model_validate(odd), *toy_dialogues(2, first=1)]
    path = tmp_path / "deep" / "a.jsonl"
    write_annotated(path, dialogues)
    assert read_annotated(path) == dialogues
    assert [file.name for file in path.parent.iterdir()] == ["a.jsonl"]


def test_blank_lines_are_passed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "", fields(), "  ", fields(1), "")
    assert [dialogue.id for dialogue in read_annotated(path)] == ["toy-0", "toy-1"]


def test_round_counts_system_utterances() -> None:
    dialogue = toy_dialogue(0)
    assert [dialogue.round_of(index) for index in dialogue.system_turns] == [1, 2, 3]
    opening = Dialogue(id="x", utterances=(said("system", "hi"), said("user", "hello")))
    assert opening.round_of(0) == 1


def broken(change: str) -> dict[str, Any]:
    record = fields(1)
    match change:
        case "speaker":
            record["utterances"][0]["speaker"] = "seeker"
        case "unmerged":
            record["utterances"].append(record["utterances"][-1])
        case "user turn":
            record["turns"][0]["index"] = 0
        case "outside":
            record["turns"][0]["index"] = 99
        case "no topic":
            del record["turns"][0]["candidates"][0]["topic"]
        case "same id":
            record["id"] = "toy-0"
        case "twice":
            record["turns"].append(record["turns"][0])
        case "half an emoji":
            record["utterances"][0]["text"] += "\ud83d"
        case "half an emoji in a topic":
            record["turns"][0]["candidates"][0]["topic"] += "\ud83d"
        case "no text":
            record["utterances"][0]["text"] = "  "
        case "misspelt":
            record["utterances"][1]["stratgies"] = ["Question"]
    return record


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("speaker", "utterances.0.speaker"),
        ("unmerged", "merge consecutive turns"),
        ("user turn", "that utterance is the user's"),
        ("outside", "no such utterance"),
        ("no topic", "turns.0.candidates.0.topic"),
        ("same id", "already another dialogue's, on line 1"),
        ("twice", "is annotated more than once"),
        ("half an emoji", "half of a character"),
        ("half an emoji in a topic", "half of a character"),
        ("no text", "utterances.0.text: there is no text"),
        ("misspelt", "utterances.1.stratgies"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, change: str, says: str) -> None:
    path = write(tmp_path / "a.jsonl", fields(), broken(change))
    with pytest.raises(DataError) as error:
        read_annotated(path)
    assert f"{path}, line 2" in str(error.value)
    assert says in str(error.value)
    assert isinstance(error.value, CooperError)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"id": "a", "utter', "line 1: not JSON"),
        ("[1]", "line 1: a JSON object is expected"),
        ("", "holds no dialogues"),
        ('{"id": ' + "9" * 5_000 + "}", "line 1: a number there is too long"),
        ("[" * 100_000, "line 1: not a dialogue, nested too deep"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_annotated(write(tmp_path / "a.jsonl", text))


def test_a_dialogue_that_stands_there_twice_is_read_once(tmp_path: Path, caplog) -> None:
    renamed = fields() | {"id": "again"}
    path = write(tmp_path / "a.jsonl", fields(), fields(1), fields(), renamed)
    assert [dialogue.id for dialogue in read_annotated(path)] == ["toy-0", "toy-1"]
    assert "2 duplicated dialogues left out" in caplog.text


def test_missing_and_foreign_encodings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_annotated(tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="UTF-8"):
        read_annotated(tmp_path / "b.jsonl")


def test_dialogues_without_annotation_are_not_trained_on(tmp_path: Path) -> None:
    plain = fields()
    del plain["turns"]
    with pytest.raises(DataError, match="annotate the dialogues first"):
        read_annotated(write(tmp_path / "a.jsonl", plain))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_annotated(path, toy_dialogues(1))

    def fails() -> Any:
        yield toy_dialogue(1)
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="No space left"):
        write_annotated(path, fails())
    assert read_annotated(path) == toy_dialogues(1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_write_under_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_annotated(tmp_path / "file" / "a.jsonl", toy_dialogues(1))


def test_a_replaced_file_is_seen_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"

    def write(data: bytes, *, fails: bool = False) -> None:
        with replacing(path) as file:
            file.write(data)
            assert Path(file.name).suffix == ".txt"
            assert path.exists() == fails
            if fails:
                raise RuntimeError

    write(b"one")
    with pytest.raises(RuntimeError):
        write(b"two", fails=True)
    assert path.read_bytes() == b"one"
    assert [left.name for left in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("cut", [b"", b'{"i', b'{"id": "b", "utter'])
def test_appending_goes_on_behind_the_last_finished_line(tmp_path: Path, cut: bytes) -> None:
    path = tmp_path / "a.jsonl"
    assert finished_lines(path, b'{"id": ') == []
    remove_unfinished_line(path)
    assert not path.exists()
    whole = b'{"id": "a"}\n\n{"id": "\xc3\xa9"}\n'
    path.write_bytes(whole + cut)
    lines = [(1, b'{"id": "a"}'), (3, b'{"id": "\xc3\xa9"}')]
    assert finished_lines(path, b'{"id": ') == lines
    assert path.read_bytes() == whole + cut
    remove_unfinished_line(path)
    assert path.read_bytes() == whole


def test_a_file_that_another_program_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "a"}\nhello')
    with pytest.raises(ValueError, match="begins otherwise"):
        finished_lines(path, b'{"id": ')
