"""The command, as the tests of several of its parts run it."""

from __future__ import annotations

import pytest

from tests.support.commands import Cooper, in_process


@pytest.fixture
def cooper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cooper:
    return in_process(monkeypatch, capsys)
