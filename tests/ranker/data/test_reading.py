"""Loaders of the published forms, on small files made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import write_annotated
from langgraph_cooper.ranker.data.reading import load_dialogues, read_dialogues
from langgraph_cooper.ranker.data.report import statistics
from langgraph_cooper.ranker.data.splits import split_dialogues
from tests.ranker.toys import said, toy_dialogues

ESC = load_task("esc")
P4G = load_task("persuasion")

ESCONV: list[dict[str, Any]] = [
    {"speaker": "usr", "text": "Hello. "},
    {"speaker": "sys", "text": "Hi.", "strategy": "Others"},
    {"speaker": "sys", "text": "How are you?", "strategy": "Question"},
    {"speaker": "usr", "text": "Sad."},
    {"speaker": "usr", "text": "Very."},
    {"speaker": "sys", "text": "Juggle.", "strategy": "Juggling"},
]
CSV = "Unnamed: 0,Unit,Turn,B4,B2\n0,Hello!,0,0,one\n1,Hi.,0,1,one\n2,How are you?,1,0,one\n"
SHEET = [
    ("Unnamed: 0", "B2", "B4", "Turn", "Unit", "er_label_1", "ee_label_1"),
    (0, "one", 0, 0, "Hello.", "greeting", None),
    (1, "one", 0, 0, "Do you give?", "task-related-inquiry", None),
    (2, "one", 1, 0, "Sometimes.", None, "positive-to-inquiry"),
    (3, "two", 0, 0, "Give a dollar?", "proposition-of-donation", None),
]


def lines(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def sheet(path: Path, rows: list[tuple[object, ...]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_esconv_merges_turns_and_keeps_strategies_in_order(tmp_path: Path) -> None:
    path = lines(tmp_path / "train.txt", {"dialog": ESCONV}, {"dialog": ESCONV[:2]})
    dialogues, report = read_dialogues(path, ESC)
    assert [d.id for d in dialogues] == ["train-1", "train-2"]
    assert dialogues[0].utterances == (
        said("user", "Hello."),
        said("system", "Hi. How are you?", "Others", "Question"),
        said("user", "Sad. Very."),
        said("system", "Juggle.", "Juggling"),
    )
    assert report.unknown_strategies == {"Juggling": 1}
    assert (report.system_utterances, report.unlabelled) == (3, 1)
    assert "Juggling (1)" in report.sentence()
    assert load_dialogues(path, ESC) == dialogues


def test_esconv_as_first_released(tmp_path: Path) -> None:
    turns = [
        {"speaker": "seeker", "annotation": {}, "content": "I am sad.\n"},
        {"speaker": "supporter", "annotation": {"strategy": "Question"}, "content": "Why?"},
    ]
    path = tmp_path / "ESConv.json"
    path.write_text(json.dumps([{"dialog": turns}], indent=1), encoding="utf-8")
    (dialogue,) = load_dialogues(path, ESC)
    assert dialogue.utterances == (said("user", "I am sad."), said("system", "Why?", "Question"))


def test_p4g_without_annotation(tmp_path: Path) -> None:
    path = tmp_path / "full_dialog.csv"
    path.write_text(CSV, encoding="utf-8")
    dialogues, report = read_dialogues(path, P4G)
    assert [u.text for u in dialogues[0].utterances] == ["Hello!", "Hi.", "How are you?"]
    assert dialogues[0].id == "one"
    assert report.unlabelled == report.system_utterances == 2


def test_p4g_sentences_with_strategies(tmp_path: Path) -> None:
    dialogues = load_dialogues(sheet(tmp_path / "300_dialog.xlsx", [*SHEET, (None,) * 7]), P4G)
    assert dialogues[0].utterances == (
        said("system", "Hello. Do you give?", "greeting", "task-related-inquiry"),
        said("user", "Sometimes."),
    )
    assert P4G.promoted_by(dialogues[1].utterances[0].strategies) == {"proposition"}


def p4g_item() -> dict[str, Any]:
    entries = [
        {"subgoal": name, "strategy": name, "topic": f'{name}" '}
        for name in ("inquiry", "appeal", "proposition", "passive_response")
    ]
    states = {f"{name}_state": name for name in ("inquiry", "appeal", "proposition")}
    return {
        "index": "live",
        "dialog": [
            {"speaker": "Persuader", "text": "Hi.", "strategy": ["greeting"]},
            {"speaker": "Persuadee", "text": "Hi."},
            {
                "speaker": "Persuader",
                "text": "Give!",
                "strategy": ["proposition-of-donation"],
                "states": states | {"topic_candidates": entries},
            },
        ],
    }


def test_p4g_with_candidates_becomes_annotated(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps([p4g_item()]), encoding="utf-8")
    (dialogue,) = load_dialogues(path, P4G)
    assert isinstance(dialogue, AnnotatedDialogue)
    (turn,) = dialogue.turns
    assert turn.index == 2
    assert turn.states == {"attention": "inquiry", "appeal": "appeal", "proposition": "proposition"}
    got = [(candidate.aspect, candidate.topic) for candidate in turn.candidates]
    assert got[0] == ("attention", "inquiry")
    assert got[-1] == ("passive", "passive_response")
    assert dialogue.final_states == turn.states


def test_own_labelled_and_annotated_files(tmp_path: Path) -> None:
    plain = Dialogue(id="mine", utterances=(said("user", "a"), said("system", "b", "Question")))
    path = lines(tmp_path / "own.jsonl", plain.model_dump(mode="json"))
    assert read_dialogues(path, ESC).report.form == "labelled JSONL"
    assert load_dialogues(path, ESC) == [plain]
    write_annotated(tmp_path / "ann.jsonl", toy_dialogues(2))
    assert load_dialogues(tmp_path / "ann.jsonl", ESC) == toy_dialogues(2)


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([{"speaker": "bot", "text": "x"}], "line 2: turn 1 needs a speaker"),
        ([{"speaker": "usr"}], "line 2: turn 1 needs a speaker"),
        (["hello"], "line 2: turn 1 needs"),
        ([], 'line 2: a list "dialog"'),
    ],
)
def test_malformed_esconv_lines_are_named(tmp_path: Path, turns: list[Any], says: str) -> None:
    path = lines(tmp_path / "train.txt", {"dialog": ESCONV}, {"dialog": turns})
    with pytest.raises(DataError, match=says):
        load_dialogues(path, ESC)


def test_other_malformed_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(CSV.replace("B4", "who"), encoding="utf-8")
    with pytest.raises(DataError, match="column 'B4' is missing"):
        load_dialogues(path, P4G)
    path.write_text(CSV + "3,Bye,1,7,one\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 5: B4 must be 0"):
        load_dialogues(path, P4G)
    (tmp_path / "x.xlsx").write_bytes(b"no spreadsheet")
    with pytest.raises(DataError, match="as a spreadsheet"):
        load_dialogues(tmp_path / "x.xlsx", P4G)
    with pytest.raises(DataError, match="column 'er_label_1' is missing"):
        load_dialogues(sheet(tmp_path / "y.xlsx", [row[:5] for row in SHEET]), P4G)
    (tmp_path / "nested.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DataError, match="nested too deep"):
        load_dialogues(tmp_path / "nested.json", ESC)
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"empty\.txt is empty"):
        load_dialogues(tmp_path / "empty.txt", ESC)
    path.write_text(CSV + '3,"' + "x" * 200_000 + '",1,0,one\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 5: not CSV"):
        load_dialogues(path, P4G)
    with pytest.raises(DataError, match="has an unknown form"):
        load_dialogues(lines(tmp_path / "z.json", {"hello": 1}), ESC)
    with pytest.raises(DataError, match="cannot be read"):
        load_dialogues(tmp_path / "none.txt", ESC)
    item = p4g_item()
    del item["dialog"][2]["states"]["topic_candidates"][0]["topic"]
    (tmp_path / "dev.json").write_text(json.dumps([item]), encoding="utf-8")
    with pytest.raises(DataError, match="utterance 2 lacks 'topic'"):
        load_dialogues(tmp_path / "dev.json", P4G)


def test_a_file_in_which_the_system_is_silent_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.txt", {"dialog": ESCONV[:1]})
    with pytest.raises(DataError, match="system says nothing"):
        load_dialogues(path, ESC)


def test_empty_turns_and_silent_dialogues_are_counted(tmp_path: Path) -> None:
    blank = {"speaker": "usr", "text": "  "}
    path = lines(tmp_path / "a.txt", {"dialog": [blank, *ESCONV]}, {"dialog": ESCONV[:1]})
    report = read_dialogues(path, ESC).report
    assert (report.empty_turns, report.without_system) == (1, 1)
    assert "1 empty turns left out" in report.sentence()


def test_a_dialogue_that_stands_there_twice_is_left_out_and_counted(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.txt", *({"dialog": turns} for turns in (ESCONV, ESCONV[:3], ESCONV)))
    dialogues, report = read_dialogues(path, ESC)
    assert [dialogue.id for dialogue in dialogues] == ["a-1", "a-2"]
    assert (report.dialogues, report.duplicates) == (2, 1)
    assert "1 duplicated dialogues left out" in report.sentence()


def test_different_dialogues_of_one_id_are_refused(tmp_path: Path) -> None:
    first, second = p4g_item(), p4g_item()
    second["dialog"][0]["text"] = "Good morning."
    (tmp_path / "dev.json").write_text(json.dumps([first, second, first]), encoding="utf-8")
    with pytest.raises(DataError, match="2 different dialogues have the id 'live'"):
        load_dialogues(tmp_path / "dev.json", P4G)


def test_a_file_is_annotated_or_it_is_not(tmp_path: Path) -> None:
    plain = Dialogue(id="mine", utterances=(said("user", "a"), said("system", "b", "Question")))
    both = [plain.model_dump(mode="json"), toy_dialogues(1)[0].model_dump(mode="json")]
    for records in (both, both[::-1]):
        with pytest.raises(DataError, match="line 2: some dialogues are annotated"):
            load_dialogues(lines(tmp_path / "own.jsonl", *records), ESC)


def test_splits_are_deterministic_whole_and_independent_of_order() -> None:
    dialogues = [*toy_dialogues(50)]
    parts = split_dialogues(dialogues, (0.8, 0.1, 0.1), seed=3)
    assert [len(part) for part in parts] == [40, 5, 5]
    assert sorted(d.id for part in parts for d in part) == sorted(d.id for d in dialogues)
    again = split_dialogues(dialogues[::-1], (0.8, 0.1, 0.1), seed=3)
    assert [{d.id for d in part} for part in again] == [{d.id for d in part} for part in parts]
    assert split_dialogues(dialogues, seed=4) != parts
    with pytest.raises(DataError, match="add up to 1"):
        split_dialogues(dialogues, (0.8, 0.1))


def test_statistics_count_a_round_per_system_utterance(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.txt", {"dialog": ESCONV[:5]}, {"dialog": ESCONV})
    figures = statistics(load_dialogues(path, ESC), ESC)
    assert (figures.dialogues, figures.utterances, figures.labelled) == (2, 7, 2)
    assert figures.rounds_per_dialogue == pytest.approx(1.5)
    assert figures.aspects["exploration"] == 1.0
    assert figures.aspects["action"] == 0.0
    assert figures.strategies["Question"] == 2
    assert figures.words_per_utterance["user"] == pytest.approx((1 + 2 + 1 + 2) / 4)
    with pytest.raises(DataError, match="no dialogues"):
        statistics([], ESC)


def test_the_documentation_shows_what_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    (tmp_path / "own.jsonl").write_text(example, encoding="utf-8")
    loaded = read_dialogues(tmp_path / "own.jsonl", ESC)
    assert (loaded.report.form, loaded.report.unlabelled) == ("labelled JSONL", 0)
    for task in (ESC, P4G):
        for aspect in task.aspects:
            assert f"{aspect.name} | {', '.join(aspect.strategies)} |".lower() in text.lower()
        assert f"passive | {', '.join(task.passive_strategies)} |".lower() in text.lower()
