"""Saving in a checkpoint all that its state needs, so that the ones before may go.

The value of a `DeltaChannel` is what its last snapshot and the writes since make of it, along the
checkpoints' parents. In a checkpoint without them it would be empty, and no error would say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.nodes.channels import LatestChannel, MessagesChannel
from langgraph_cooper.nodes.errors import InputError

Saver = BaseCheckpointSaver[Any]
Graph = CompiledStateGraph[Any, Any, Any, Any]
Place = tuple[str, str]
"""A checkpoint's namespace and id."""

COUNTERS = "counters_since_delta_snapshot"
"""LangGraph's key in the metadata: the channels that the checkpoint itself does not hold."""


class Part(NamedTuple):
    """A checkpoint, and the channels that it does not hold, by their names."""

    found: CheckpointTuple
    channels: dict[str, DeltaChannel[Any]]


def complete(
    saver: Saver, thread_id: str, places: Iterable[Place], graph: Graph | None = None
) -> None:
    """Save in each of these checkpoints the channels that it does not hold.

    Args:
        saver: The saver.
        thread_id: The thread. None of its turns may run.
        places: The checkpoints. What they are made from must be there still.
        graph: The thread's graph. If omitted, COOPER's channels alone are known.

    Raises:
        InputError: A channel is not known.
    """
    for place in places:
        config = _config(thread_id, place)
        if part := _part(saver.get_tuple(config), graph):
            history = saver.get_delta_channel_history(config=config, channels=list(part.channels))
            saver.put(*_completed(part, history))


async def acomplete(
    saver: Saver, thread_id: str, places: Iterable[Place], graph: Graph | None = None
) -> None:
    """Complete checkpoints in an async saver. See `complete`."""
    for place in places:
        config = _config(thread_id, place)
        if part := _part(await saver.aget_tuple(config), graph):
            names = list(part.channels)
            history = await saver.aget_delta_channel_history(config=config, channels=names)
            await saver.aput(*_completed(part, history))


def whole_values(saver: Saver, found: CheckpointTuple) -> dict[str, Any]:
    """Return the values of all channels of a checkpoint, those that it does not hold too.

    Raises:
        InputError: A channel is not one of COOPER's.
    """
    values = found.checkpoint["channel_values"]
    part = _part(found, None)
    if part is None:
        return values
    names = list(part.channels)
    history = saver.get_delta_channel_history(config=found.config, channels=names)
    return {**values, **_replayed(part, history)}


def _config(thread_id: str, place: Place) -> RunnableConfig:
    namespace, id = place
    known = {"thread_id": thread_id, "checkpoint_ns": namespace}
    return {"configurable": {**known, "checkpoint_id": id} if id else known}


def _part(found: CheckpointTuple | None, graph: Graph | None) -> Part | None:
    if found is None or not (counters := _counters(found)):
        return None
    versions, values = (found.checkpoint[k] for k in ("channel_versions", "channel_values"))
    missing = [name for name in counters if name in versions and name not in values]
    return Part(found, {name: _channel(name, found, graph) for name in missing})


def _counters(found: CheckpointTuple) -> Mapping[str, Any]:
    known: Any = found.metadata
    return known.get(COUNTERS) or {}


def _channel(name: str, found: CheckpointTuple, graph: Graph | None) -> DeltaChannel[Any]:
    namespace = found.config["configurable"].get("checkpoint_ns", "")
    known = _channels(namespace, graph).get(name) if graph else None
    if isinstance(known, DeltaChannel):
        return known
    if "cooper" in found.checkpoint["channel_versions"]:
        return MessagesChannel(typ=list) if name == "messages" else LatestChannel()
    raise InputError(
        f"the thread's key {name!r} is a DeltaChannel that only its graph can put together: pass "
        "the graph to prune_thread, or prune with Turns"
    )


def _channels(namespace: str, graph: Graph) -> Mapping[str, BaseChannel[Any, Any, Any] | Any]:
    """Return the channels of a (sub)graph; each level of its namespace may end in a task's id."""
    path = "|".join(part.partition(":")[0] for part in namespace.split("|"))
    found = dict(graph.get_subgraphs(recurse=True)).get(path) if path else graph
    channels: Mapping[str, Any] = getattr(found, "channels", {})
    return channels


def _replayed(part: Part, histories: Mapping[str, DeltaChannelHistory]) -> dict[str, Any]:
    values = {}
    for name, channel in part.channels.items():
        replayed = channel.from_checkpoint(histories[name].get("seed"))
        replayed.replay_writes(histories[name]["writes"])
        if replayed.is_available():
            values[name] = replayed.get()
    return values


def _completed(
    part: Part, histories: Mapping[str, DeltaChannelHistory]
) -> tuple[RunnableConfig, Checkpoint, Any, dict[str, Any]]:
    """Return the arguments with which a saver's `put` replaces the checkpoint by the whole one."""
    found, values = part.found, _replayed(part, histories)
    whole = {**found.checkpoint["channel_values"], **values}
    checkpoint = Checkpoint(**{**found.checkpoint, "channel_values": whole})
    metadata = {key: value for key, value in found.metadata.items() if key != COUNTERS}
    place = {k: found.config["configurable"][k] for k in ("thread_id", "checkpoint_ns")}
    parent = found.parent_config or {"configurable": place}
    versions = {name: found.checkpoint["channel_versions"][name] for name in values}
    return parent, checkpoint, metadata, versions
