"""A turn on a LangGraph server with its Python SDK.

Start it with `python examples/clients/sdk.py "I lost my job."` COOPER_URL names the server, and
COOPER_TOKEN is your token there.
"""

import asyncio
import os
import sys

from langgraph_sdk import get_client

from langgraph_cooper.graph import as_event


async def main(said: str) -> None:
    """Print the agents' results, the words as they come, and where help is."""
    headers = {"Authorization": f"Bearer {os.environ.get('COOPER_TOKEN', '')}"}
    url = os.environ.get("COOPER_URL", "http://127.0.0.1:2024")
    async with get_client(url=url, headers=headers) as client:
        thread = (await client.threads.create())["thread_id"]
        parts = client.runs.stream(
            thread,
            "esc",
            input={"messages": [{"role": "user", "content": said}]},
            stream_mode=["custom", "messages-tuple"],
            context={"country": "GB"},
            multitask_strategy="enqueue",  # a second message waits for its turn
            durability="sync",  # the turn survives a crash of the server
        )
        async for part in parts:
            event = as_event(part.data) if part.event == "custom" else None
            if event and event.type == "agent" and event.status == "completed" and event.text:
                print(f"[{event.aspect} {event.stage}] {event.text}")
            elif event and event.type == "help":
                print("help:", *event.lines)
            elif part.event == "messages":
                print(part.data[0]["content"], end="", flush=True)
            elif part.event == "error":
                sys.exit(part.data["message"])
        state = await client.threads.get_state(thread)
        print("\nkept:", state["values"]["messages"][-1]["content"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "I lost my job."))
