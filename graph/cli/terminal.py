"""What commands show a person: no words of people, models or files steer the terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Self

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

UNESCAPED = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal and stays in JSON, where other letters are to be read as they are."""


def shown(text: str) -> str:
    """Return a text as a terminal may show it: without escapes, whoever wrote it.

    A database or a file may be older than the checks of what a model says.
    """
    if all(line.isprintable() for line in text.split("\n")):
        return text  # spares quick commands the import
    from langgraph_cooper.nodes.language.controls import plain

    return plain(text)


def tell(text: str, *, err: bool = False) -> None:
    """Print a line with words that others wrote."""
    typer.echo(shown(text), err=err)


def json_line(value: object) -> str:
    """Return a value as one line of JSON that steers no terminal."""
    written = json.dumps(value, ensure_ascii=False)
    return UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


class PlainText(Text):
    """A text of rich with the words of others: no escapes, no markup.

    Rich itself takes a few control characters out of a text, after which the end of an escape
    sequence is not to be seen: they must be cleaned before.
    """

    def __init__(self, text: str = "", style: str | Style = "", **options: Any) -> None:
        super().__init__(shown(text), style, **options)

    def append(self, text: Text | str, style: str | Style | None = None) -> Self:
        """Add words at the end."""
        super().append(shown(text) if isinstance(text, str) else text, style)
        return self


class PlainConsole(Console):
    """A console for the words of others: no escapes, and neither markup nor emoji codes in strings.

    Args:
        options: Those of `Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as a text, as cells and titles of tables are made."""
        return super().render_str(shown(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object; what is not a `PlainText` has no escapes either."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(shown(text), style)


def short(value: float, digits: int) -> str:
    """Format a number without the zero before the point."""
    return f"{value:.{digits}f}".removeprefix("0")
