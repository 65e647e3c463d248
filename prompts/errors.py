"""The one base class of every error that a user of the package may want to catch."""

from __future__ import annotations


class CooperError(RuntimeError):
    """A mistake or fault that a person can mend: its text names the thing and the remedy.

    A `RuntimeError`, because LangGraph's server (Studio) tells clients the text of Python's own
    kinds of errors alone and calls every other "An internal error occurred".
    """


class TaskError(CooperError):
    """A task is unknown, or its file is malformed; names the file and the field."""


class UnknownTaskError(TaskError):
    """No task has this name, and no file stands at this path."""
