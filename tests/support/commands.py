"""Running `cooper` in this process, and reading what it printed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from langgraph_cooper.graph.cli import main


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The JSON on standard output of a command that succeeded."""
        assert self.code == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found

    def fails(self, *words: str) -> None:
        """Check that it failed in one sentence with these words."""
        assert self.code == 1, self.err
        assert "Traceback" not in self.err
        (error,) = (line for line in self.err.splitlines() if line.startswith("error: "))
        assert all(word in error for word in words), error


Cooper = Callable[..., Done]


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cooper:
    """Return what runs the command in this process: the encoder is loaded once for all tests."""

    def run(*arguments: object, stdin: str | bytes = "") -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["cooper", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return Done(int(end.value.code or 0), output.out, output.err)

    return run
