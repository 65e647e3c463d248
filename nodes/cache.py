"""The folder of what is computed once and kept on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "COOPER_CACHE"


def cache_folder(kind: str) -> Path:
    """Return the folder of one kind: in `COOPER_CACHE`, or in the system's place for caches."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given) / kind
    from platformdirs import user_cache_path

    return user_cache_path("langgraph-cooper") / kind
