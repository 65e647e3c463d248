"""What all tests of faults need."""

from __future__ import annotations

import gc

import pytest

from langgraph_cooper.nodes.crisis.reading import read_meaning
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.prompts import load_task


@pytest.fixture(scope="session", autouse=True)
def _models_are_loaded() -> None:
    """Load what reads messages before anything is timed."""
    read_meaning("")
    assert ShippedReader(load_task("esc")).reads
    gc.freeze()
