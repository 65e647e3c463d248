"""Checking the ids of threads: they come from outside, and checkpointers accept anything."""

from __future__ import annotations

from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts.errors import a_kind

MAX_THREAD_ID = 255


def check_thread_id(thread_id: object) -> str:
    """Return a thread's id if every database stores it unchanged and every log shows it.

    It is the application's task to check who may use a thread: anybody who knows the id can read
    it.

    Raises:
        InputError: The id is not a string, is empty, is longer than 255 characters, has spaces
            around it, or contains slashes or invisible characters.
    """
    if not isinstance(thread_id, str):
        raise InputError(f"a thread's id is a text, not {a_kind(thread_id)}: pass a str")
    wrong = _wrong_with(thread_id)
    if wrong:
        shown = repr(thread_id[:40]) + ("…" if len(thread_id) > 40 else "")
        raise InputError(
            f"the thread id {shown} {wrong}: use up to {MAX_THREAD_ID} letters, digits and signs, "
            "without slashes and without spaces at either end"
        )
    return thread_id


def _wrong_with(thread_id: str) -> str | None:
    if not thread_id:
        return "is empty"
    if len(thread_id) > MAX_THREAD_ID:
        return f"has {len(thread_id):,} characters"
    if not thread_id.isprintable():  # neither NUL nor line breaks, surrogates, or direction marks
        return "holds a character that cannot be seen"
    if thread_id != thread_id.strip():
        return "has spaces around it"
    if set(thread_id) & {"/", "\\"} or thread_id in (".", ".."):
        return "looks like a path"
    return None
