"""The public names: listed, complete, and loaded only when they are asked for."""

from __future__ import annotations

import subprocess
import sys

from langgraph_cooper import graph
from langgraph_cooper.graph import api

LAZY = """
import sys
import langgraph_cooper.graph as graph
assert not {"langgraph", "langgraph_cooper.graph.api"} & sys.modules.keys()
assert {"create_cooper", "Turns", "__getattr__"} <= set(dir(graph))
"""


def test_public_names_are_listed_and_there() -> None:
    assert set(api.__all__) <= set(dir(graph))
    for name in api.__all__:
        assert getattr(graph, name) is getattr(api, name)


def test_they_are_loaded_only_when_they_are_asked_for() -> None:
    subprocess.run([sys.executable, "-c", LAZY], check=True)
