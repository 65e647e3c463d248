"""The one base class of every error that a user of the package may want to catch."""

from __future__ import annotations


class CooperError(Exception):
    """A mistake or fault that a person can mend: its text names the thing and the remedy."""


class TaskError(CooperError):
    """A task is unknown, or its file is malformed; names the file and the field."""


class UnknownTaskError(TaskError):
    """No task has this name, and no file stands at this path."""
