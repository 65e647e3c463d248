"""What all tests of faults need."""

from __future__ import annotations

import gc

import pytest

from langgraph_cooper.nodes.crisis.reading import read_meaning


@pytest.fixture(scope="session", autouse=True)
def _guard_is_loaded() -> None:
    """Load the guard's classifier before anything is timed."""
    read_meaning("")
    gc.freeze()
