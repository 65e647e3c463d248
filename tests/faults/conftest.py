"""What all tests of faults need."""

from __future__ import annotations

import gc

import pytest

from langgraph_cooper.nodes.crisis.reading import read_meaning
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.model.encoder import load_encoder


@pytest.fixture(scope="session", autouse=True)
def _models_are_loaded() -> None:
    """Load what reads messages before anything is timed."""
    read_meaning("")
    assert ShippedReader(load_task("esc"), load_encoder().encode).reads
    gc.freeze()
