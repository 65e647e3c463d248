"""Running `cooper` in this process, and reading what it printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The JSON on standard output of a command that succeeded."""
        assert self.code == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found

    def fails(self, *words: str) -> None:
        """Check that it failed in one sentence with these words."""
        assert self.code == 1, self.err
        assert "Traceback" not in self.err
        (error,) = (line for line in self.err.splitlines() if line.startswith("error: "))
        assert all(word in error for word in words), error


Cooper = Callable[..., Done]
