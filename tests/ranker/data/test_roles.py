"""Roles from files of roles and of dialogues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.roles import Role, read_roles

ESC = load_task("esc")
SAID = [
    {"speaker": "usr", "text": "Hi."},
    {"speaker": "sys", "text": "Hello.", "strategy": "Others"},
]


def row(number: int, **fields: object) -> str:
    said = [*SAID, {"speaker": "usr", "text": f"It is {number}."}]
    return json.dumps({"dialog": said, **fields})


def test_rows_of_the_data_set_bring_their_survey(tmp_path: Path) -> None:
    survey = {"seeker": {"initial_emotion_intensity": "4", "empathy": ""}, "supporter": {}}
    first = row(1, situation=" Lost. ", problem_type="job crisis", emotion_type="fear",
                survey_score=survey)  # fmt: skip
    lines, listed = tmp_path / "raw.txt", tmp_path / "list.json"
    lines.write_text(f"{first}\n{row(2, situation='Left.')}\n", "utf-8")
    listed.write_text(f"[{first}, {row(2, situation='Left.')}]", "utf-8")
    for file in (lines, listed):
        one, two = read_roles(file, ESC)
        assert one.scores == {"initial_emotion_intensity": 4.0}
        assert one.text == "job crisis, fear. Lost"
        assert (two.id, two.text) == (f"{file.stem}-2", "Left")


def test_trackers_describe_only_those_that_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "raw.txt"
    file.write_text(f"{row(1, situation='Lost.')}\n{row(2)}\n{row(3)}\n", "utf-8")
    with pytest.raises(DataError, match=r"2 dialogues have no situation, such as 'raw-2'"):
        read_roles(file, ESC)
    found = read_roles(file, ESC, lambda bare: {bare[0].id: "What a tracker heard."})
    # A person about whom nothing is known cannot be played.
    assert [role.situation for role in found] == ["Lost.", "What a tracker heard."]
    file.write_text(row(1), "utf-8")
    with pytest.raises(DataError, match="none of its dialogues"):
        read_roles(file, ESC, lambda _: {})


def test_an_annotated_dialogue_has_its_final_states(tmp_path: Path) -> None:
    said = [{"speaker": "user", "text": "Hi."}, {"speaker": "system", "text": "Hello."}]
    states = {"exploration": "The seeker is alone.", "comforting": "", "action": ""}
    turn = {"index": 1, "states": states, "candidates": []}
    fields = {"id": "a", "utterances": said, "turns": [turn], "final_states": states}
    file = tmp_path / "annotated.jsonl"
    file.write_text(json.dumps(fields), "utf-8")
    assert read_roles(file, ESC) == [Role(id="a", situation="The seeker is alone.")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no roles"),
        ("\n{}\n", "line 2 is no role"),
        ('{"id": "a", "situation": "x", "problme": "y"}', "problme"),
        ('{"id": "a"}', 'needs a "situation" or a "problem"'),
        ('{"id": "a", "problem": "x"}\n' * 2, "two roles have the id 'a'"),
        ("[]", "form"),
    ],
)
def test_files_without_roles_are_one_sentence(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "roles.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(DataError, match=told):
        read_roles(file, ESC)
