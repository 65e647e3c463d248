"""What a thread may be called: ids come from outside, and savers take anything."""

from __future__ import annotations

from langgraph_cooper.nodes.errors import InputError

MAX_THREAD_ID = 255


def check_thread_id(thread_id: object) -> str:
    """Gives a thread's id back, if it is one that every store keeps and every log shows as it is.

    Whose thread it is remains the application's to check: whoever knows an id can read its thread.

    Raises:
        InputError: It is no text, empty, longer than 255 characters, has spaces around it, or
            holds slashes, control characters or others that cannot be seen.
    """
    if not isinstance(thread_id, str):
        raise InputError(f"a thread's id is a text, not a {type(thread_id).__name__}: pass a str")
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
