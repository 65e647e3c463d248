"""The public names: `from langgraph_cooper.graph import ...` finds all of them."""

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.graph.threads.asked import AnswerAgain, Reply
from langgraph_cooper.graph.threads.ids import check_thread_id
from langgraph_cooper.graph.threads.leaving import StoppedError
from langgraph_cooper.graph.threads.locks import LockError, PostgresLock, TurnLock
from langgraph_cooper.graph.threads.pruning import aprune_thread, prune_thread
from langgraph_cooper.graph.threads.serde import cooper_serde
from langgraph_cooper.graph.threads.turns import ThreadBusyError, Turns
from langgraph_cooper.graph.warm import awarm_up, warm_up
from langgraph_cooper.nodes.allowed import Allowed
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.nodes.events import Event, as_event, event_schema
from langgraph_cooper.nodes.state import AspectReport
from langgraph_cooper.prompts import CooperError, TaskError, TaskSpec, load_task

__all__ = [
    "Allowed",
    "AnswerAgain",
    "AspectReport",
    "CooperContext",
    "CooperError",
    "Event",
    "InputError",
    "LockError",
    "ModelError",
    "PostgresLock",
    "Reply",
    "StoppedError",
    "TaskError",
    "TaskSpec",
    "ThreadBusyError",
    "TurnLock",
    "Turns",
    "aprune_thread",
    "as_event",
    "awarm_up",
    "check_thread_id",
    "cooper_serde",
    "create_cooper",
    "event_schema",
    "load_task",
    "prune_thread",
    "warm_up",
]
