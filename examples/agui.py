"""Serves COOPER to AG-UI front ends such as CopilotKit.

Start it with `python examples/agui.py`. It needs `pip install '.[agui]'`. With
COOPER_AGUI_TOKENS (owner:token, parted by commas) each owner sees their own threads alone; without
it everybody on this machine is one owner.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import uvicorn
from ag_ui.core import RunAgentInput
from ag_ui.encoder import EventEncoder
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.graph.agui import CooperAgent, agent
from langgraph_cooper.graph.server.owners import AuthenticationError, Tokens

app = FastAPI(title="COOPER for AG-UI")
graph = create_cooper("esc").compile(checkpointer=InMemorySaver())
cooper = agent(Turns(graph, wait=30), name="esc", description="Emotional support")
given_tokens = os.environ.get("COOPER_AGUI_TOKENS")
try:
    tokens = None if given_tokens is None else Tokens(given_tokens.split(","), "COOPER_AGUI_TOKENS")
except AuthenticationError as error:
    sys.exit(str(error))


def owner_of(authorization: Annotated[str, Header()] = "") -> str | None:
    """Return whose a request is. Put your own authentication here."""
    if tokens is None:
        return None
    if owner := tokens({"authorization": authorization}):
        return owner
    raise HTTPException(401, "send your token: Authorization: Bearer ...")


async def encoded(run: CooperAgent, given: RunAgentInput) -> AsyncIterator[str]:
    """Yield a run's events as server-sent events."""
    encoder = EventEncoder()
    async with aclosing(run.run(given)) as events:
        async for event in events:
            yield encoder.encode(event)


@app.post("/agui")
async def agui(
    given: RunAgentInput, owner: Annotated[str | None, Depends(owner_of)]
) -> StreamingResponse:
    """Run a turn."""
    events = encoded(cooper.owned_by(owner), given)
    return StreamingResponse(events, media_type=EventEncoder().get_content_type())


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
