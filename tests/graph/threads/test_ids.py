"""What a thread may be called."""

from __future__ import annotations

import pytest

from langgraph_cooper.graph import InputError, check_thread_id

GOOD = ["anna", "a", "3f2b-77", "tenant:anna", "anna@example.org", "Frau Müller", "安娜", "a" * 255]
BAD = {
    "": "is empty",
    "a" * 256: "has 256 characters",
    "a" * 10_000: "has 10,000 characters",
    "../../etc/passwd": "looks like a path",
    "a\\b": "looks like a path",
    "..": "looks like a path",
    "an\0na": "cannot be seen",
    "an\nna": "cannot be seen",
    "anna\u202e": "cannot be seen",
    "\ud800": "cannot be seen",
    " anna": "spaces around",
    "anna ": "spaces around",
}


@pytest.mark.parametrize("thread_id", GOOD)
def test_what_stores_keep_is_taken(thread_id: str) -> None:
    assert check_thread_id(thread_id) == thread_id


@pytest.mark.parametrize("thread_id", BAD)
def test_what_they_may_not_keep_is_refused_in_one_short_sentence(thread_id: str) -> None:
    with pytest.raises(InputError, match=BAD[thread_id]) as caught:
        check_thread_id(thread_id)
    assert "use up to 255 letters" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("thread_id", [None, 7, b"anna", ["anna"]])
def test_nothing_but_text(thread_id: object) -> None:
    with pytest.raises(InputError, match="pass a str"):
        check_thread_id(thread_id)
