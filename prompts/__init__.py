"""Tasks as data: roles, goal, aspects, topic banks and prompt texts."""

from langgraph_cooper.prompts.errors import CooperError, TaskError, UnknownTaskError
from langgraph_cooper.prompts.guard import CrisisKind, GuardSettings, help_texts
from langgraph_cooper.prompts.loader import list_tasks, load_task
from langgraph_cooper.prompts.task import (
    PASSIVE,
    Answer,
    AspectSpec,
    Decision,
    PassiveKind,
    Subject,
    TaskSpec,
    Topic,
)
from langgraph_cooper.prompts.template import fill

__all__ = [
    "PASSIVE",
    "Answer",
    "AspectSpec",
    "CooperError",
    "CrisisKind",
    "Decision",
    "GuardSettings",
    "PassiveKind",
    "Subject",
    "TaskError",
    "TaskSpec",
    "Topic",
    "UnknownTaskError",
    "fill",
    "help_texts",
    "list_tasks",
    "load_task",
]
