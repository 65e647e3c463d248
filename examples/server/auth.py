"""Whose a thread is on a LangGraph server: its owner is stamped on it, and others do not find it.

`langgraph.json` beside this file names it. Tokens are in COOPER_TOKENS: owner:token, parted by
commas. Owners talk in threads of their own: they add a person's messages and take nothing back, so
that they lift the safety guard by what they say or not at all. An owner called "operator" may also
edit threads, steer runs, and change assistants, as Studio does.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import HumanMessage, RemoveMessage, convert_to_messages
from langgraph_sdk import Auth

from langgraph_cooper.graph.server.owners import AuthenticationError, Tokens

OPERATOR = "operator"
OTHER_STATES = ("checkpoint", "__pregel")
"""How the keys in a run's configuration begin that put another state in place of the thread's."""

auth = Auth()
try:
    tokens = Tokens(os.environ.get("COOPER_TOKENS", "").split(","), "COOPER_TOKENS")
except AuthenticationError as error:
    sys.exit(str(error))


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """Return whose a request is. Put your own authentication here."""
    if owner := tokens({"authorization": authorization or ""}):
        return {"identity": owner}
    raise Auth.exceptions.HTTPException(401, "send your token: Authorization: Bearer ...")


@auth.on
async def refuse(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Refuse what no rule below allows: crons and the store."""
    return False


@auth.on.threads
async def own_threads(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Stamp the owner on new threads and runs, and find nobody else's."""
    owner = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(owner)
    return owner


@auth.on.threads.create_run
async def messages_alone(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Take messages alone from a run's input, so that no client lifts the safety guard with it."""
    asked = value["kwargs"]
    if asked.get("input") is not None:
        if not isinstance(asked["input"], dict):
            raise Auth.exceptions.HTTPException(422, 'give the input as {"messages": [...]}')
        asked["input"] = {"messages": asked["input"].get("messages") or []}
    if ctx.user.identity != OPERATOR:
        talk_alone(asked, new=not value.get("thread_id"))
    return await own_threads(ctx, value)


def talk_alone(asked: dict[str, Any], *, new: bool) -> None:
    """Refuse what would change what was said before; a new thread may bring a conversation along.

    Args:
        asked: A run's arguments; of its messages those of people alone are kept.
        new: Whether the run makes a thread of its own.
    """
    if asked.get("command"):
        raise Auth.exceptions.HTTPException(403, "only the operator steers a run")
    settings = (asked.get("config") or {}).get("configurable") or {}
    if any(key.startswith(OTHER_STATES) and settings[key] for key in settings):
        raise Auth.exceptions.HTTPException(
            403, "only the operator goes back to an earlier step: name no checkpoint"
        )
    if asked.get("input") and not new:
        asked["input"] = {"messages": list(people_said(asked["input"]["messages"]))}


def people_said(given: Any) -> Iterable[dict[str, Any]]:
    """Yield the messages of people. The replies in a history that is sent whole are left out."""
    try:
        messages = convert_to_messages(given if isinstance(given, list) else [given])
    except (ValueError, TypeError, KeyError, NotImplementedError):
        raise Auth.exceptions.HTTPException(
            422, 'give messages as {"type": "human", "content": "..."}'
        ) from None
    for message in messages:
        if isinstance(message, RemoveMessage):
            raise Auth.exceptions.HTTPException(403, "only the operator removes messages")
        if isinstance(message, HumanMessage):
            yield {"type": "human", "id": message.id, "content": message.content}


@auth.on.threads.update
async def edit(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Let owners stop their runs; let only the operator edit a state or roll a run back.

    A client that asks for `multitask_strategy="rollback"` waits for the earlier run instead.
    """
    if value.get("action") != "interrupt" and ctx.user.identity != OPERATOR:
        raise Auth.exceptions.HTTPException(
            403, "only the operator edits a thread's state or rolls a run back"
        )
    return await own_threads(ctx, value)


@auth.on.threads.delete
async def delete(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Let owners delete whole threads; with a run its messages and the guard's state would go."""
    if value.get("run_id") and ctx.user.identity != OPERATOR:
        raise Auth.exceptions.HTTPException(
            403, "only the operator deletes a run: delete its thread"
        )
    return await own_threads(ctx, value)


@auth.on.assistants
async def assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Let only the operator change assistants: they hold options of runs."""
    return ctx.user.identity == OPERATOR


@auth.on.assistants.read
async def read_assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Let everybody use the assistants."""
    return True


@auth.on.assistants.search
async def search_assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Let everybody list the assistants."""
    return True
