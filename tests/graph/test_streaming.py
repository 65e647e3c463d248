"""Tokens reach a caller as they come, from the generator alone."""

from __future__ import annotations

import asyncio

from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import CooperContext, create_cooper

SAID = {"messages": [HumanMessage("I got laid off last week and I feel anxious.")]}


def test_offline_reply_is_streamed_word_by_word() -> None:
    graph = create_cooper("esc").compile()
    parts = list(graph.stream(SAID, stream_mode=["messages", "values"], version="v2"))
    pieces = [part["data"][0].text for part in parts if part["type"] == "messages"]
    nodes = {part["data"][1]["langgraph_node"] for part in parts if part["type"] == "messages"}
    final = parts[-1]["data"]["messages"][-1].text
    assert nodes == {"generator"}
    assert len([piece for piece in pieces if piece]) == len(final.split())
    assert "".join(pieces) == final


def test_tokens_come_before_the_turn_ends() -> None:
    graph = create_cooper("esc").compile()

    async def order() -> list[str]:
        modes = ["messages", "updates"]
        return [
            part["type"] + ":" + ",".join(part["data"] if part["type"] == "updates" else ())
            async for part in graph.astream(SAID, stream_mode=modes, version="v2")
        ]

    seen = asyncio.run(order())
    assert seen.index("messages:") < seen.index("updates:generator")
    assert seen.index("updates:coordinator") < seen.index("messages:")


def test_agents_tokens_stay_inside(role_model) -> None:
    graph = create_cooper("esc", model=role_model).compile()
    parts = list(graph.stream(SAID, stream_mode="messages", subgraphs=True, version="v2"))
    assert {part["data"][1]["langgraph_node"] for part in parts} == {"reply_guard"}
    swift = CooperContext(hold_reply=False)
    parts = list(
        graph.stream(SAID, stream_mode="messages", subgraphs=True, version="v2", context=swift)
    )
    assert {part["data"][1]["langgraph_node"] for part in parts} == {"generator"}
