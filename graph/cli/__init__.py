"""The command `cooper`."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Run a command. Ctrl-C ends it silently, even while modules are being imported."""
    try:
        from langgraph_cooper.graph.cli import app

        app.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
