"""Chat models for graph tests."""

from __future__ import annotations

import gc

import pytest

from langgraph_cooper.nodes.crisis.reading import read_meaning
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.model.encoder import load_encoder
from tests.support.role_model import RoleModel


@pytest.fixture(scope="session", autouse=True)
def _models_are_loaded() -> None:
    """Load what reads messages before anything is timed."""
    read_meaning("")
    assert ShippedReader(load_task("esc"), load_encoder().encode).reads
    gc.freeze()


@pytest.fixture
def role_model() -> RoleModel:
    return RoleModel()


@pytest.fixture
def meeting_model() -> RoleModel:
    """Its trackers return only once three of them have been called at the same time."""
    return RoleModel(meet=3)
