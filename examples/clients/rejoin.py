"""Leaves a turn on a LangGraph server after its first events, and joins it again.

Start it with `python examples/clients/rejoin.py`. COOPER_URL names the server, and COOPER_TOKEN is
your token there.
"""

import asyncio
import os

from langgraph_sdk import get_client


async def main() -> None:
    """Print how many parts came before and after, and the reply."""
    headers = {"Authorization": f"Bearer {os.environ.get('COOPER_TOKEN', '')}"}
    url = os.environ.get("COOPER_URL", "http://127.0.0.1:2024")
    async with get_client(url=url, headers=headers) as client:
        thread = (await client.threads.create())["thread_id"]
        parts = client.runs.stream(
            thread,
            "esc",
            input={"messages": [{"role": "user", "content": "I lost my job."}]},
            stream_mode=["custom"],
            stream_resumable=True,  # the server keeps the parts
            on_disconnect="continue",  # the turn goes on without a reader
        )
        run, last, before = "", None, 0
        async for part in parts:
            if part.event == "metadata":
                run = part.data["run_id"]
            last, before = part.id, before + 1
            if before == 3:
                break
        after = 0
        async for part in client.runs.join_stream(thread, run, last_event_id=last):
            after += part.event == "custom"
        # The state has the reply for certain: a server in memory may lose parts on the way back.
        state = await client.threads.get_state(thread)
        print(f"{before} parts, then {after} events")
        print("kept:", state["values"]["messages"][-1]["content"])


if __name__ == "__main__":
    asyncio.run(main())
