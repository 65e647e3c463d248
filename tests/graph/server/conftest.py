"""A server for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_cooper.graph.server.settings import Limits
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, offers, serving


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    """The model of the server; its generator takes a moment."""
    return ScriptedModel()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> Iterator[str]:
    limits = Limits(rate=10_000, grace=1, wait=0.3)
    store = tmp_path_factory.mktemp("server") / "talks.sqlite"
    with serving(store, offers(model=model), limits=limits) as served:
        yield served


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.http.close()


@pytest.fixture
def slow(model: ScriptedModel) -> Iterator[ScriptedModel]:
    """The model, whose generator takes a second."""
    model.delays = {"generator": 1.0}
    yield model
    model.delays = {}
