"""Keys of caches that are bounded in bytes, too: they keep no long text."""

from __future__ import annotations

import hashlib

LONGEST = 256  # characters of a text that is its own key


def key_of(text: str) -> str | bytes:
    """Return a short text, or the digest of a long one."""
    if len(text) <= LONGEST:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
