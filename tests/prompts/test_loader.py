"""Finding and reading task files: names, files, folders, and everything that is neither."""

from __future__ import annotations

import copy
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_cooper.prompts import (
    TaskError,
    TaskSpec,
    UnknownTaskError,
    list_tasks,
    load_task,
)
from langgraph_cooper.prompts.loader import HOME
from tests.prompts.test_task import written

Fields = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped folder `esc`, to spoil."""
    return shutil.copytree(HOME / "esc", tmp_path / "own")


def test_shipped_tasks_are_as_the_paper_has_them() -> None:
    assert list_tasks() == ["esc", "persuasion"]
    esc, persuasion = load_task("esc"), load_task("persuasion")
    assert esc.aspect_names == ("exploration", "comforting", "action")
    assert (esc.m, esc.k, esc.reply_words, esc.opens) == (4, 3, 40, "user")
    assert persuasion.aspect_names == ("attention", "appeal", "proposition")
    assert (persuasion.m, persuasion.k, persuasion.reply_words) == (3, 3, 50)
    assert persuasion.opens == "system"


def test_a_task_is_given_back_as_it_is() -> None:
    task = load_task("esc")
    assert load_task(task) is task


def test_a_file_alone_gets_the_shared_prompts(fields: Fields, tmp_path: Path) -> None:
    del fields["prompts"]
    file = written(fields, tmp_path / "tea.toml")
    task = load_task(file)
    assert load_task(str(file)) == task
    assert task.prompts.tracker == (HOME / "tracker.md").read_text(encoding="utf-8")


def test_a_changed_file_is_read_again(fields: Fields, tmp_path: Path) -> None:
    file = written(fields, tmp_path / "tea.toml")
    before = load_task(file)
    written({**fields, "goal": "Sell the teapot."}, file)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))
    assert (before.goal, load_task(file).goal) == ("Have a nice time.", "Sell the teapot.")


def test_a_folder_brings_its_banks_and_prompts(folder: Path) -> None:
    (folder / "tracker.md").write_text("My own: {summarise}.", encoding="utf-8")
    task, shipped = load_task(folder), load_task("esc")
    assert task.prompts.tracker == "My own: {summarise}."
    assert task.prompts.promoter == shipped.prompts.promoter
    assert (task.aspects, task.passive, task.subjects) == (
        shipped.aspects,
        shipped.passive,
        shipped.subjects,
    )


def test_a_home_folder_is_expanded(
    fields: Fields, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(fields, tmp_path / "tea.toml")
    assert load_task("~/tea.toml").name == "tea"


@pytest.mark.parametrize(
    "task", ["knitting", "", "~nobody-of-this-name/x", "x" * 5000, "nul\0byte", "esc/bank"]
)
def test_what_is_no_task_is_unknown(task: str) -> None:
    with pytest.raises(UnknownTaskError, match="the shipped ones are esc, persuasion"):
        load_task(task)


@pytest.mark.parametrize("task", ["tasks/nope.toml", Path("nope.toml"), "nul\0byte.toml"])
def test_a_missing_file_is_called_a_file(task: str | Path) -> None:
    with pytest.raises(UnknownTaskError, match=r"there is no file '.*toml': .*\(esc, persuasion\)"):
        load_task(task)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"name = ", "is not a TOML file"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"name = " + b"[" * 100_000, "is not a TOML file"),
        (b"m = " + b"1" * 5000, "is not a TOML file"),
        (b"", "required fields name, title, goal, user_role, system_role, aspects must"),
    ],
    ids=["cut off", "not UTF-8", "deep", "huge number", "empty"],
)
def test_what_is_no_task_file_names_itself(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(content)
    with pytest.raises(TaskError, match=complaint) as caught:
        load_task(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "heading"),
    [
        ("comforting", 'topics = "x"', "[[topics]]"),
        ("passive", 'kinds = "x"', "[[kinds]]"),
        ("passive", '[[kinds]]\nname = "hi"\ntopics = "x"', "[[kinds.topics]]"),
        ("subjects", 'subjects = "x"', "[[subjects]]"),
    ],
)
def test_a_heading_is_told_as_the_banks_file_needs_it(
    name: str, content: str, heading: str, folder: Path
) -> None:
    (folder / "bank" / f"{name}.toml").write_text(content, encoding="utf-8")
    with pytest.raises(TaskError, match=rf"write {re.escape(heading)} before"):
        load_task(folder)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("passives.toml", "did you mean 'passive'"),
        ("subject.toml", "did you mean 'subjects'"),
        ("explorations.toml", "did you mean 'exploration'"),
        ("answer/life.toml", "did you mean 'answers'"),
        ("zzz.toml", "name one of exploration, comforting, action, passive"),
    ],
)
def test_a_bank_that_nothing_takes_is_told(name: str, meant: str, folder: Path) -> None:
    file = folder / "bank" / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    with pytest.raises(TaskError, match=meant):
        load_task(folder)


def test_a_bank_beside_entries_in_the_task_is_told(folder: Path) -> None:
    with (folder / "task.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[subjects]]\nid = "tea"\nphrase = "tea"\ncues = ["tea"]\n')
    with pytest.raises(TaskError, match=r"subjects\.toml: task\.toml has entries of its own"):
        load_task(folder)


def test_an_editors_own_file_is_no_bank(folder: Path) -> None:
    (folder / "bank" / "._action.toml").touch()
    assert load_task(folder).aspects == load_task("esc").aspects


def test_a_mistake_in_a_bank_names_the_banks_file(folder: Path) -> None:
    bank = folder / "bank" / "comforting.toml"
    bank.write_text('[[topics]]\ntopic = "Hi"\nstrategy = "Others"\nsay = "Hi"\n', encoding="utf-8")
    with pytest.raises(TaskError) as caught:
        load_task(folder)
    assert str(caught.value).startswith(f"{bank}: aspects.comforting.topics.0.say: ")


@pytest.mark.parametrize(
    ("name", "heading"), [("action", "topics"), ("passive", "kinds"), ("subjects", "subjects")]
)
def test_a_misspelt_heading_leaves_no_bank_silently_empty(
    name: str, heading: str, folder: Path
) -> None:
    (folder / "bank" / f"{name}.toml").write_text("[[topci]]\n", encoding="utf-8")
    with pytest.raises(TaskError, match=rf"{name}\.toml: topci: .*\[\[{heading}\]\]"):
        load_task(folder)


@pytest.mark.parametrize("name", ["tracker.md", "bank/action.toml"])
def test_a_file_beside_the_task_that_is_no_text(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"\xff\xff")
    with pytest.raises(TaskError, match="is not text in UTF-8") as caught:
        load_task(folder)
    assert str(folder / name) in str(caught.value)


def _paths(value: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the task's texts stand."""
    if isinstance(value, str):
        return [at]
    steps = value.items() if isinstance(value, dict) else ()
    steps = enumerate(value) if isinstance(value, list) else steps
    return [path for step, entry in steps for path in _paths(entry, (*at, step))]


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_text_anywhere_loads_or_is_a_task_error(
    data: st.DataObject, fields: Fields, tmp_path: Path
) -> None:
    spoilt = copy.deepcopy(fields)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    markup = st.text("{}[]subject!:echo.m \n\"'\\", max_size=12)
    for path in data.draw(st.lists(st.sampled_from(_paths(fields)), min_size=1, max_size=3)):
        holder = spoilt
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = data.draw(texts | markup | st.just("a" * 700))
    folder = tmp_path / "own"  # a folder: aspects' names become names of files to look for
    (folder / "bank").mkdir(parents=True, exist_ok=True)
    file = written(spoilt, folder / "task.toml")
    outcome: TaskSpec | str
    try:
        outcome = load_task(folder)
    except TaskError as error:
        outcome = str(error)
    assert isinstance(outcome, TaskSpec) or str(file) in outcome
