"""Whose a thread is on a LangGraph server: its owner is stamped on it, and others do not find it.

`langgraph.json` beside this file names it. Tokens are in COOPER_TOKENS: owner:token, parted by
commas. Owners talk in threads of their own. An owner called "operator" may also edit them, steer
runs, and change assistants, as Studio does.
"""

import os
import secrets
from typing import Any

from langgraph_sdk import Auth

OPERATOR = "operator"

auth = Auth()
tokens = dict(one.split(":", 1) for one in os.environ.get("COOPER_TOKENS", "").split(",") if one)


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """Return whose a request is. Put your own authentication here."""
    given = (authorization or "").removeprefix("Bearer ").encode()
    for owner, token in tokens.items():
        if secrets.compare_digest(given, token.encode()):
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
    if isinstance(asked.get("input"), dict):
        asked["input"] = {"messages": asked["input"].get("messages") or []}
    if asked.get("command") and ctx.user.identity != OPERATOR:
        raise Auth.exceptions.HTTPException(403, "only the operator steers a run")
    return await own_threads(ctx, value)


@auth.on.threads.update
async def edit(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Let owners stop their runs; let only the operator edit a state."""
    if not value.get("action") and ctx.user.identity != OPERATOR:
        raise Auth.exceptions.HTTPException(403, "only the operator edits a thread's state")
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
