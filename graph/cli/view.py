"""The agents' work as a terminal shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from langgraph_cooper.graph.cli.terminal import PlainText
from langgraph_cooper.graph.threads.spoken import faults_of
from langgraph_cooper.nodes.candidates import distinct_topics
from langgraph_cooper.prompts import PASSIVE, TaskSpec

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
STAND_INS = {
    "guard": "its classifier decides alone",
    "tracker": "its last summary stands in",
    "promoter": "the task's own topics stand in",
    "progression": "its last progress stands in",
    "coordinator": "the agents take turns",
    "generator": "a prepared reply stands in",
}
WORDS = re.compile(r"\n|[^\S\n]+|\S+")
# Where no agent that failed has the field: there is nothing to go back to on a first turn.
AT_FIRST = {
    "tracker": ("state", "there is no summary yet"),
    "progression": ("targets", "there is no progress yet"),
}
SHOWN = 6  # candidates of the ranking
PANEL, ROOMY = 26, 70  # least cells of an agent's panel, and of a ranking with strategies
BY_GUARD = "The safety guard answered, with a fixed text: no agent worked."


class WordWrap:
    """Breaks a text that comes in pieces between its words.

    Args:
        width: Of a line; None breaks nothing.
        column: Number of cells that the line has already.
    """

    def __init__(self, width: int | None, column: int = 0) -> None:
        self.column = column
        self._width = width
        self._space = self._word = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown: all but the last word, which may go on."""
        if self._width is None:
            return piece
        text, self._word = self._word + piece, ""
        parts = WORDS.findall(text)
        if parts and not parts[-1].isspace():
            self._word = parts.pop()
        return "".join(map(self._placed, parts))

    def end(self) -> str:
        """Return the last word."""
        word, self._word = self._word, ""
        return self._placed(word) if word else ""

    def _placed(self, part: str) -> str:
        if part == "\n":
            self._space, self.column = "", 0
            return part
        if part.isspace():
            self._space += part
            return ""
        space, self._space = self._space, ""
        wide = cell_len(space + part)
        if self.column and self._width and self.column + wide > self._width:
            self.column = cell_len(part)
            return "\n" + part
        self.column += wide
        return space + part


def agents_view(task: TaskSpec, state: Mapping[str, Any], width: int) -> RenderableType:
    """Return the agents' reports side by side if there is room, and the head of the ranking.

    All words of people and models are `PlainText`, in which rich reads no markup.

    Args:
        task: The task.
        state: The conversation's state.
        width: Of the terminal, in cells.
    """
    reports = {name: state.get(name) or {} for name in task.aspect_names}
    if not any(reports.values()):
        return PlainText("No agent has worked yet: say something first.", style="dim")
    panels = [_agent(name, report, colour_of(task, name)) for name, report in reports.items()]
    parts: list[RenderableType] = [*panels]
    if width >= PANEL * len(panels):
        agents = Table.grid(expand=True, padding=(0, 1))
        for _ in panels:
            agents.add_column(ratio=1)
        agents.add_row(*panels)
        parts = [agents]
    if (state.get("guard") or {}).get("fired"):
        return Group(PlainText(f"{BY_GUARD} This is of the turn before:", style="dim"), *parts)
    return Group(*parts, _ranking(task, state, width))


def why_view(task: TaskSpec, state: Mapping[str, Any]) -> RenderableType:
    """Return what guided the last reply: the first K candidates, and whose they are."""
    if (state.get("guard") or {}).get("fired"):
        return PlainText(BY_GUARD, style="dim")
    chosen = distinct_topics(state.get("ranking") or [])[: task.k]
    if not chosen:
        return PlainText("There is no reply to explain yet.", style="dim")
    lines: list[RenderableType] = []
    if (state.get("guard") or {}).get("tier") == "concern":
        lines.append(PlainText("The safety guard put its question first.", style="dim"))
    for ranked in chosen:
        colour = colour_of(task, ranked["aspect"])
        progress = (state.get(ranked["aspect"]) or {}).get("progress")
        far = "" if progress is None else f", progress {progress:.0%}"
        about = f"{ranked['aspect']} (score {ranked['score']:.2f}{far}): "
        lines.append(PlainText.assemble(f"{ranked['rank']}. ", (about, colour), ranked["topic"]))
    return Group(*lines)


def summary_line(task: TaskSpec, state: Mapping[str, Any]) -> Text:
    """Return the agents' progress and the chosen candidate on one line."""
    line = PlainText("  ", style="dim")
    for name in task.aspect_names:
        progress = state.get(name, {}).get("progress", 0.0)
        line.append(f"{name} {progress:.0%}  ", style=colour_of(task, name))
    if ranking := state.get("ranking"):
        line.append(f"→ {ranking[0]['aspect']}: {ranking[0]['topic']}")
    return line


def fault_line(task: TaskSpec, state: Mapping[str, Any]) -> str:
    """Return the faults of a turn and their substitutes, each reason once; empty without faults.

    Example: "the promoter of comforting: the model 'm' did not answer in time; the task's own
    topics stand in".
    """
    reasons: dict[str, dict[str, list[str]]] = {}
    for aspect, fault in faults_of(task, state):
        of = reasons.setdefault(fault["message"], {}).setdefault(fault["step"], [])
        if aspect and aspect not in of:
            of.append(aspect)
    told = []
    for message, steps in reasons.items():
        who = listed(
            f"the {step}" + (f" of {listed(of)}" if of else "") for step, of in steps.items()
        )
        instead = listed(_stand_in(step, of, state) for step, of in steps.items())
        told.append(f"{who}: {message}; {instead}")
    return "; ".join(told)


def _stand_in(step: str, aspects: Iterable[str], state: Mapping[str, Any]) -> str:
    """Return what is used in place of a step that failed, for these aspects."""
    field, nothing = AT_FIRST.get(step, ("", ""))
    if nothing and not any(state.get(aspect, {}).get(field) for aspect in aspects):
        return nothing
    return STAND_INS[step]


def listed(words: Iterable[str]) -> str:
    """Join words, as in "one, two and three"."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def colour_of(task: TaskSpec, aspect: str) -> str:
    """Return the aspect's colour; passive candidates are white."""
    if aspect == PASSIVE:
        return "white"
    return COLOURS[task.aspect_names.index(aspect) % len(COLOURS)]


def _agent(name: str, report: Mapping[str, Any], colour: str) -> Panel:
    progress = report.get("progress", 0.0)
    bar = Table.grid(expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=5)
    bar.add_row(
        ProgressBar(total=1.0, completed=progress, complete_style=colour), f"{progress:.0%}"
    )
    targets = report.get("targets") or []
    heading = PlainText(
        "heading for: " + (targets[0]["text"] if targets else "nothing yet"), "italic dim"
    )
    heading.truncate(220, overflow="ellipsis")
    topics = [PlainText(f"• {c['topic']}") for c in report.get("candidates", [])]
    state = PlainText(report.get("state") or "(nothing yet)")
    return Panel(
        Group(bar, state, PlainText(), heading, PlainText(), *topics),
        title=PlainText(f"{name} (stale)" if report.get("stale") else name),
        subtitle="from the task's bank" if _from_bank(report) else None,
        border_style=colour,
    )


def _from_bank(report: Mapping[str, Any]) -> bool:
    return {candidate["source"] for candidate in report.get("candidates", [])} == {"bank"}


def _ranking(task: TaskSpec, state: Mapping[str, Any], width: int) -> Table:
    roomy = width >= ROOMY
    table = Table(box=None, padding=(0, 1), title="ranking", title_justify="left", expand=True)
    table.add_column("#", justify="right", style="dim")
    table.add_column("score", justify="right")
    table.add_column("aspect")
    table.add_column("topic", ratio=1)
    if roomy:
        table.add_column("strategy", style="dim")
    shown = state.get("ranking", [])[:SHOWN]
    calibrated = any("share" in ranked for ranked in shown)
    if calibrated:
        table.columns[1].header = "share + calibration"
    for ranked in shown:
        value = f"{ranked['score']:.2f}"
        if calibrated and "share" in ranked:  # states of an earlier version lack it
            value = f"{ranked['share']:.2f} {ranked.get('calibration', 0.0):+.2f}"
        table.add_row(
            str(ranked["rank"]),
            value,
            PlainText(ranked["aspect"], style=colour_of(task, ranked["aspect"])),
            PlainText(ranked["topic"], style="bold" if ranked["rank"] <= task.k else ""),
            *([PlainText(ranked["strategy"])] if roomy else []),
        )
    return table
