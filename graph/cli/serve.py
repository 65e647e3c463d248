"""`cooper serve`: conversations over HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.options import ChatModel, Deadline, GuardModel, MaxCalls
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.prompts.extras import install

NEEDED = ("fastapi", "sse_starlette", "uvicorn", "prometheus_client", "platformdirs")


Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")]
Host = Annotated[str, typer.Option(help="The address; one beyond the loopback needs tokens.")]
Tasks = Annotated[
    list[str] | None, typer.Option(help="A task to serve; may be repeated. None: the shipped.")
]
Store = Annotated[
    str | None,
    typer.Option(help="An SQLite file, or postgresql://... for replicas; none: your data folder."),
]
Tokens = Annotated[
    Path | None, typer.Option(help="A file of owner:token lines; else $COOPER_TOKENS.")
]
Authenticator = Annotated[
    str | None, typer.Option(help="module:function, which returns a request's owner; no --tokens.")
]
Country = Annotated[str | None, typer.Option(help="Whose help lines the guard names, such as GB.")]
AtOnce = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        help="The chat model's calls at a time in a turn: 1 for a server with one slot; none: "
        "as many as the server says it has, or one per agent.",
    ),
]
TurnsAtOnce = Annotated[int, typer.Option(min=1, help="Turns at a time.")]
Streams = Annotated[int, typer.Option(min=1, help="Open streams.")]
OwnerStreams = Annotated[int, typer.Option(min=1, help="Open streams of one owner.")]
Rate = Annotated[int, typer.Option(min=1, help="Requests of one owner in a minute.")]
Body = Annotated[int, typer.Option(min=1_000, help="Bytes of a request.")]
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds that a message waits for an earlier turn.")
]
Grace = Annotated[float, typer.Option(min=0, help="Seconds that turns have to end at the end.")]


class MissingError(CooperError):
    """A package that a command needs is not installed."""


def check_installed(*needed: str, extra: str = "serve") -> None:
    """Check that packages are installed, by default those of the server.

    Raises:
        MissingError: One is not installed.
    """
    if missing := [name for name in needed or NEEDED if find_spec(name) is None]:
        raise MissingError(f"this command needs {missing[0]}: {install(extra)}")


def serve(
    port: Port = 8000,
    host: Host = "127.0.0.1",
    task: Tasks = None,
    model: ChatModel = None,
    guard_model: GuardModel = None,
    store: Store = None,
    tokens: Tokens = None,
    authenticator: Authenticator = None,
    country: Country = None,
    deadline: Deadline = 60,
    max_calls: MaxCalls = None,
    at_once: AtOnce = None,
    turns: TurnsAtOnce = 64,
    streams: Streams = 1_000,
    owner_streams: OwnerStreams = 100,
    rate: Rate = 240,
    body: Body = 1_000_000,
    wait: Wait = 10,
    grace: Grace = 10,
) -> None:
    """Serve conversations over HTTP: events, and OpenAI's chat completions."""
    check_installed()
    from langgraph_cooper.graph.server.serve import authenticator_of, check_country, offers_of
    from langgraph_cooper.graph.server.serve import serve as run
    from langgraph_cooper.graph.server.settings import Limits, Settings
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.prompts import list_tasks

    check_country(country)
    authenticate = authenticator_of(tokens, authenticator)
    limits = Limits(
        body=body, streams=streams, owner_streams=owner_streams, turns=turns, rate=rate,
        wait=wait, grace=grace,
    )  # fmt: skip
    context = CooperContext(
        deadline=deadline, max_calls=max_calls, at_once=at_once, country=country
    )
    offers = offers_of(task or list_tasks(), model=model, guard_model=guard_model)
    run(
        offers,
        host=host,
        port=port,
        store=store,
        authenticate=authenticate,
        settings=Settings(context, limits, local=authenticate is None),
        tell=lambda port: typer.echo(
            f"serving {', '.join(offers)} on http://{host}:{port}", err=True
        ),
    )
