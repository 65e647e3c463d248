"""The command `cooper`."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Runs a command; Ctrl-C ends it without a word, also while it is still being imported."""
    try:
        from langgraph_cooper.graph.cli import app

        app.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
