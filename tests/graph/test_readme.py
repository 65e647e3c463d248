"""What the README and the pages of docs/ show is true: code runs, and names and links exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from langgraph_cooper.graph import AspectReport, CooperContext, TaskSpec
from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.prompts import Answer, AspectSpec, PassiveKind, Subject, Topic

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *(ROOT / f"{n}.md" for n in ("CONTRIBUTING", "SECURITY", "CHANGELOG")), *DOCS]

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)")
PATH = re.compile(r"`((?:graph|nodes|ranker|prompts|tests|examples|docs)/[\w./-]*)`(?! \(to come)")
TEST = re.compile(r"`(test_\w+\.py)(?:::(\w+))?")


COMMAND: Any = typer.main.get_command(app)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(pages: Iterable[Path]) -> Any:
    return pytest.mark.parametrize("page", list(pages), ids=lambda page: page.stem)


@named(page for page in PAGES if BLOCK.search(read(page)))
def test_python_blocks_run_one_after_another(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    for number, block in enumerate(BLOCK.findall(read(page)), start=1):
        code = compile(block, f"{page.name}, block {number}", "exec", dont_inherit=True)
        exec(code, session)
    assert capsys.readouterr().out.split()


def test_the_readme_shows_code_in_two_minutes() -> None:
    assert BLOCK.search(read(README))
    assert len(read(README).split()) <= 700


@named(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(read(page)):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@named(page for page in PAGES if page.stem != "CHANGELOG")  # which names what was, too
def test_named_files_exist(page: Path) -> None:
    assert [path for path in PATH.findall(read(page)) if not (ROOT / path).exists()] == []


def test_tests_named_as_evidence_exist() -> None:
    for file, function in TEST.findall(read(ROOT / "docs/reliability.md")):
        source = ROOT / "tests/faults" / file
        assert source.exists(), file
        assert not function or f"def {function}(" in read(source), f"{file}::{function}"


@named(PAGES)
def test_make_targets_exist(page: Path) -> None:
    makefile = read(ROOT / "Makefile")
    for target in set(re.findall(r"(?:`|^)make ([a-z]+)", read(page), re.MULTILINE)):
        assert f"\n{target}:" in makefile, target


@named(page for page in PAGES if "cooper " in read(page))
def test_commands_and_options_exist(page: Path) -> None:
    inline = re.findall(r"`(cooper [^`]+)`", read(page))
    blocks = [block.replace("\\\n", " ") for block in SHELL.findall(read(page))]
    lines = [line for block in blocks for line in block.splitlines()]
    for line in [*inline, *lines]:
        words = shlex.split(line.split("|")[-1].split(" > ")[0], comments=True)
        if words[:1] == ["cooper"]:
            _check_command(words[1:], line)


def _check_command(words: list[str], line: str) -> None:
    command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if words[:1] == ["COMMAND"]:
        return
    if words and words[0].startswith("-") and hasattr(command, "default_command"):
        command = command.commands[command.default_command]
    known = {"--help"}.union(*(option.opts + option.secondary_opts for option in command.params))
    assert {word for word in words if word.startswith("--")} <= known, line
    if hasattr(command, "commands"):
        assert not [word for word in words if not word.startswith("-")], line


@pytest.mark.parametrize(
    ("page", "heading", "spec", "elsewhere"),
    [
        ("tasks", "The fields", TaskSpec, {"aspects", "passive", "answers", "subjects", "prompts"}),
        ("tasks", "`[[aspects]]`", AspectSpec, set()),
        ("tasks", "`[[aspects.topics]]`", Topic, set()),
        ("tasks", "`[[passive]]`", PassiveKind, set()),
        ("tasks", "`[[answers]]`", Answer, {"anytime", "open_question"}),
        ("tasks", "`[[subjects]]`", Subject, set()),
        ("context", "Options of one run", CooperContext, set()),
        ("context", "The state of a conversation", AspectReport, set()),
    ],
)
def test_tables_name_every_field(page: str, heading: str, spec: Any, elsewhere: set[str]) -> None:
    section = read(ROOT / f"docs/{page}.md").split(f"# {heading}\n")[1].split("\n#")[0]
    column = [row.split("|")[1] for row in section.splitlines() if row.startswith("|")]
    shown = {name for cell in column for name in re.findall(r"`(\w+)`", cell)}
    is_model = isinstance(spec, type) and issubclass(spec, BaseModel)
    fields = set(spec.model_fields if is_model else spec.__annotations__)
    assert fields - elsewhere <= shown
    if is_model:
        assert shown <= fields


@named(DOCS)
def test_pages_end_in_a_next_step(page: Path) -> None:
    assert read(page).rstrip().splitlines()[-1].startswith("**Next:** ")
