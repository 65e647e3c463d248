"""The command line with a ranker that needs no model, and a scripted endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_cooper.graph.evaluation import meteor
from langgraph_cooper.ranker import load
from tests.support.commands import Cooper, in_process
from tests.support.openai_server import OpenAIServer
from tests.support.rankers import FakeRanker


@pytest.fixture
def cooper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cooper:
    monkeypatch.setattr(meteor, "meteor_command", lambda: None)
    monkeypatch.setattr(load, "ranker_loader", lambda *_: FakeRanker)
    return in_process(monkeypatch, capsys)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
        yield server
