"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Task = Annotated[
    str, typer.Option(help="A shipped task, or the path of your own task's file or folder.")
]
ChatModel = Annotated[
    str | None,
    typer.Option(help="A chat model's name on the OpenAI-compatible endpoint; none: offline."),
]
GuardModel = Annotated[
    str | None, typer.Option(help="A chat model that gives the safety guard a second opinion.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Deadline = Annotated[
    float,
    typer.Option(
        min=1, max=3600, help="Seconds for all of the chat model's calls of a turn together."
    ),
]
MaxCalls = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        help="The chat model's calls of a turn, with retries; none: four times a normal turn's.",
    ),
]
Form = Annotated[Literal["png", "svg"], typer.Option(help="Of the figures.")]
Figures = Annotated[Path, typer.Option(help="The folder for the figures.")]
Encoder = Annotated[
    str | None, typer.Option(help="Sentence encoder of the states; none: all-MiniLM-L6-v2.")
]
Lines = Annotated[Path, typer.Option(help="A folder of lines, one .tsv file per writer.")]
RealDialogues = Annotated[
    list[Path],
    typer.Option(help="Conversations whose users are hardly ever in a crisis (ESConv, P4G)."),
]
Phrases = Annotated[
    Path | None, typer.Option(help="More to learn from: a corpus of phrases (.toml).")
]


def names_of(given: str) -> list[str]:
    """Return the names in an option, with commas between."""
    return [name.strip() for name in given.split(",") if name.strip()]
