"""The command, as the tests of several of its parts run it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from langgraph_cooper.graph.cli import main
from tests.support.commands import Cooper, Done


@pytest.fixture
def cooper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cooper:
    """Runs the command in this process, so that the encoder is loaded once for all tests."""

    def run(*arguments: str | Path, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["cooper", *map(str, arguments)])
        said = io.BytesIO(stdin.encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(said, "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return Done(int(end.value.code or 0), output.out, output.err)

    return run
