"""COOPER on a LangGraph server as a graph in this process: alone, and as a node of another graph.

Start it with `python examples/clients/remote_graph.py`. COOPER_URL names the server, and
COOPER_TOKEN is your token there.
"""

import os
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client

from langgraph_cooper.graph import as_event

url = os.environ.get("COOPER_URL", "http://127.0.0.1:2024")
headers = {"Authorization": f"Bearer {os.environ.get('COOPER_TOKEN', '')}"}
asked: Any = {"messages": [{"role": "user", "content": "I lost my job."}]}

if __name__ == "__main__":
    # RemoteGraph("esc", url=url, headers=headers) works too; its connections stay open to the end.
    with get_sync_client(url=url, headers=headers) as client:
        cooper = RemoteGraph("esc", sync_client=client)
        state: Any = cooper.invoke(asked)
        print("alone:", state["messages"][-1]["content"])  # messages come as plain values

        host = StateGraph(MessagesState)
        host.add_node("support", cooper)
        host.add_edge(START, "support")
        parts: Any = host.compile().stream(asked, stream_mode=["custom"], subgraphs=True)
        for *_, data in parts:
            if (event := as_event(data)) and event.type == "reply":
                print("as a node:", event.text)
