"""`cooper chat`: a conversation in the terminal or through a pipe."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.options import ChatModel, Deadline, GuardModel, MaxCalls, Task
from langgraph_cooper.prompts import load_task

Thread = Annotated[
    str | None, typer.Option(help="The conversation to continue; by default the task's name.")
]
Database = Annotated[Path | None, typer.Option(help="An SQLite file that keeps conversations.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per turn.")]
ShowAgents = Annotated[
    bool, typer.Option("--show-agents", help="Show the agents' reports and the ranking.")
]
Ranker = Annotated[
    str | None, typer.Option(help="A ranker's checkpoint: a folder or a name on the hub.")
]
Generator = Annotated[
    str | None,
    typer.Option(
        help='What speaks: "bank", "finetuned", a trained generator\'s folder, or a chat '
        "model's name; none: the bank, or the model."
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        help="The chat model's calls at a time: 1 for a server with one slot; none: as many "
        "as the server says it has, or one per agent.",
    ),
]


def chat(
    task: Task = "esc",
    model: ChatModel = None,
    thread: Thread = None,
    db: Database = None,
    json: JsonLines = False,
    show_agents: ShowAgents = False,
    ranker: Ranker = None,
    generator: Generator = None,
    guard_model: GuardModel = None,
    deadline: Deadline = 60,
    max_calls: MaxCalls = None,
    at_once: AtOnce = None,
) -> None:
    """Talk in the terminal, or pipe in one user turn per line."""
    from langgraph_cooper.graph.cli.conversation import Conversation
    from langgraph_cooper.graph.cli.store import conversation_store, own_thread
    from langgraph_cooper.graph.cooper import create_cooper
    from langgraph_cooper.graph.threads.ids import check_thread_id
    from langgraph_cooper.graph.threads.locks import ProcessLock
    from langgraph_cooper.graph.threads.turns import Turns
    from langgraph_cooper.nodes.context import CooperContext

    _prepare_streams()
    spec = load_task(task)
    name = check_thread_id(spec.name if thread is None else thread)
    cooper = create_cooper(
        spec, model=model, generator=generator, guard_model=guard_model, ranker=ranker
    )
    _tell_missing(generator)
    with conversation_store(db) as store, own_thread(db, name) as owned:
        graph = cooper.compile(checkpointer=store)
        conversation = Conversation(
            task=spec,
            graph=graph,
            # `own_thread` keeps other programs out for the whole conversation, not turn by turn.
            turns=Turns(graph, lock=ProcessLock(store)),
            thread=name,
            db=db,
            model=model,
            guard_model=guard_model,
            ranker=ranker,
            as_json=json,
            show_agents=show_agents,
            release=owned.release,
            move=owned.move,
            context=CooperContext(deadline=deadline, max_calls=max_calls, at_once=at_once),
        )
        conversation.check_thread()
        if sys.stdin.isatty():
            conversation.converse()
        elif not conversation.answer_lines():
            raise typer.Exit(1)
    if conversation.loading:  # Python would wait for it
        sys.stdout.flush()
        os._exit(0)


def _prepare_streams() -> None:
    """Check that there is an input, and write UTF-8.

    Raises:
        InputError: The caller has closed standard input.
    """
    from langgraph_cooper.nodes.errors import InputError

    if sys.stdin is None:
        raise InputError(
            "standard input is closed: type at a terminal, or pipe in one user turn per line"
        )
    # A pipe's encoding follows the locale, and not every locale can write what people say.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")


def _tell_missing(generator: str | None) -> None:
    """Say how to get the fine-tuned generator where its packages are missing."""
    from langgraph_cooper.nodes.finetuned.base import INSTALL, missing_parts
    from langgraph_cooper.nodes.resources import FINETUNED

    if generator == FINETUNED and (missing := missing_parts()):
        typer.echo(f"the bank speaks, as {', '.join(missing)} is missing: {INSTALL}", err=True)
