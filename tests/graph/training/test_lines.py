"""Lines to train the guard on: read by writer, held out by writer, refused where malformed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from langgraph_cooper.graph.cli.holding_out import run_folder
from langgraph_cooper.graph.training.lines import (
    Example,
    Line,
    check_lines,
    disguised,
    line_examples,
    longer,
    read_lines,
    read_phrases,
)
from langgraph_cooper.ranker.data.dialogue import DataError


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
    return tmp_path


def test_lines_are_read_by_writer_and_those_held_out_are_not_opened(tmp_path: Path) -> None:
    lines = read_lines(
        folder(
            tmp_path,
            w01_teens="+\tsuicide\tI gave my things away\n-\tidiom\tI could kill for tea\n",
            w02_others="this file is not even\topened\n",
            w03_pairs="?\tdanger\tunsure\the shouts a lot\n+\tviolence\tplain\tI will hit him\n",
        ),
        held_out=["w02"],
    )
    assert [(line.writer, line.label, line.kind, line.how) for line in lines] == [
        ("w01", "+", "suicide", "hint"),
        ("w01", "-", "idiom", "trap"),
        ("w03", "?", "danger", "unsure"),
        ("w03", "+", "violence", "plain"),
    ]
    assert line_examples(lines) == [
        Example("I gave my things away", 1.0, "suicide", 1.0),
        Example("I could kill for tea", 0.0, None, 1.0),
        Example("he shouts a lot", 0.5, None, 0.5),
        Example("I will hit him", 1.0, "violence", 1.0),
    ]


@pytest.mark.parametrize(
    "row", ["no tab", "+\ttext alone", "*\tsuicide\ttext", "+\tsuicide\tplain\t "]
)
def test_a_malformed_line_is_named(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=r"w01\.tsv, line 2: write label, kind"):
        read_lines(folder(tmp_path, w01=f"+\tsuicide\tI want to die\n{row}\n"))


def test_an_unknown_kind_of_crisis_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: no kind of crisis is called 'rage': write sui"):
        read_lines(folder(tmp_path, w01="+\trage\tI want to die\n"))


def test_blank_lines_are_skipped_and_a_line_is_not_split_within_its_text(tmp_path: Path) -> None:
    text = "I want\u2028to\u2029die\x85now"
    lines = read_lines(folder(tmp_path, w01=f"\n+\tsuicide\t{text}\n \t\n-\tidiom\ttea\n\n"))
    assert [line.text for line in lines] == [text, "tea"]


def test_another_encoding_is_one_error(tmp_path: Path) -> None:
    for name in ("w01.tsv", "phrases.toml"):
        (tmp_path / name).write_bytes("-\tidiom\tcafé".encode("latin-1"))
    with pytest.raises(DataError, match=r"w01\.tsv is not in UTF-8"):
        read_lines(tmp_path)
    with pytest.raises(DataError, match=r"phrases\.toml is not in UTF-8"):
        read_phrases(tmp_path / "phrases.toml")


def test_a_folder_without_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no lines to learn from"):
        read_lines(tmp_path)


def test_too_few_writers_and_a_corpus_without_traps_are_refused_at_once() -> None:
    lines = [Line("anna", "+", "suicide", "plain", "x"), Line("ben", "-", "grief", "trap", "y")]
    check_lines(lines, 2)
    with pytest.raises(DataError, match="3 folds of 2 writers"):
        check_lines(lines, 3)
    with pytest.raises(DataError, match=r"5 folds of 1 writers.*no trap"):
        check_lines(lines[:1], 5)


def test_a_run_goes_on_with_the_same_data_and_settings_alone() -> None:
    line = Line("anna", "+", "suicide", "plain", "x")
    run = run_folder(Path("out"), [line], ["real"], 1, 4.0)
    assert run == run_folder(Path("out"), [line], ["real"], 1, 4.0)
    others = (
        ([line, line], ["real"], 1, 4.0),
        ([line], ["other"], 1, 4.0),
        ([line], ["real"], 2, 4.0),
    )
    assert run not in [run_folder(Path("out"), *other) for other in others]


def test_a_corpus_of_phrases(tmp_path: Path) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text(
        '[crisis.plain]\nkind = "suicide"\nsay = ["I want to die"]\n'
        '[benign]\nidioms = ["to die for"]',
        encoding="utf-8",
    )
    assert [(line.label, line.kind, line.text) for line in read_phrases(file)] == [
        ("+", "suicide", "I want to die"),
        ("-", "idioms", "to die for"),
    ]
    file.write_text("[crisis]\nplain = 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"phrases\.toml cannot be read"):
        read_phrases(file)


def test_other_forms_of_a_line_keep_its_label() -> None:
    examples = [Example(f"I want to die {number}", 1.0, "suicide") for number in range(100)]
    ordinary = ["It rains.", "My cat is ill.", "We moved in May.", "Hello."]
    among = longer(examples, ordinary, 0.3, random.Random(1))
    assert 15 < len(among) < 45
    assert all(len(each.text) > len("I want to die 10") for each in among)
    assert all("I want to die" in each.text and each.kind == "suicide" for each in among)
    changed = disguised(examples, 0.5, random.Random(1))
    assert any("d13" in each.text for each in changed)
    assert all(each.crisis == 1.0 for each in changed)
