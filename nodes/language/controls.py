"""Removes what would steer a terminal, or turn the direction of a text, from what a model says."""

from __future__ import annotations

import re

LONGEST = 1_000  # characters of a command to a terminal, such as one that sets its title
TEXT = r"[^\x00-\x1f\x7f-\x9f]"
# UTF-8 that was read as Latin-1 has these before such a character, which then begins no command.
WHOLE = r"(?<![\x80\xc2-\xf4])"
BEGINS = rf"(?:\x1b[\]PX^_]|{WHOLE}[\x90\x98\x9d-\x9f])"  # OSC, DCS, SOS, PM, APC
MOVES = rf"(?:\x1b\[|{WHOLE}\x9b)"  # CSI: colours, moves, erasing
# The order matters: a sequence goes as a whole, and if that is impossible its first characters.
STEERING = re.compile(
    rf"""
      {MOVES}[0-?]{{0,64}}[\ -/]{{0,8}}[@-~]
    | {BEGINS}{TEXT}{{0,{LONGEST}}}(?:[\x07\x9c]|\x1b\\)
    | (?P<unfinished>
          {MOVES}[0-?]{{0,64}}[\ -/]{{0,8}}\Z
        | {BEGINS}(?P<text>{TEXT}{{0,{LONGEST}}})\x1b?\Z
        | \x1b[\ -/]{{0,8}}\Z
        | \r\Z
      )
    | (?P<line_end>\r\n?|[\x0b\x0c\x85])
    | \x1b[\ -/]{{0,8}}[0-~]
    | [\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]
    """,
    re.VERBOSE,
)
MISREAD = "\xc3"
"""Stands for any character that `WHOLE` looks for; it is itself removed from no text."""


def plain(text: str) -> str:
    """Return a text without escape sequences, control characters and direction overrides.

    Newlines and tabs stay, and so do joiners and the marks of direction that scripts need. Other
    ends of a line become newlines.
    """
    stream = PlainStream()
    return stream.feed(text) + stream.end()


class PlainStream:
    """Does what `plain` does to a text that comes in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._before = ""  # `MISREAD` after such a character
        self._held = ""  # a sequence that may go on
        self._text = ""  # the words in it, which are the text's own if it never ends

    def feed(self, piece: str) -> str:
        """Return the part of the text that is certain after this piece."""
        before, text = self._before, self._before + self._held + piece
        self._held = self._text = ""
        certain = STEERING.sub(self._replaced, text)[len(before) :]
        last = text[: len(text) - len(self._held)][-1:]
        self._before = MISREAD if last == "\x80" or "\xc2" <= last <= "\xf4" else ""
        return certain

    def end(self) -> str:
        """Return what was held of a text that ends here, and begin anew."""
        text = "\n" if self._held == "\r" else STEERING.sub("", self._text)
        self._before = self._held = self._text = ""
        return text

    def _replaced(self, found: re.Match[str]) -> str:
        self._held, self._text = found["unfinished"] or "", found["text"] or ""
        return "\n" if found["line_end"] else ""
