"""Reading checkpoints without running what stands in them."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

# All that LangGraph writes today. It also reads "json" and "pickle", which name classes to build.
WRITTEN = ("null", "bytes", "bytearray", "msgpack")


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's serializer, which builds nothing but messages and what it is told of."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Reads a value.

        Raises:
            ValueError: It is of a kind that is not written today.
        """
        if data[0] not in WRITTEN:
            raise ValueError(f"a stored value of the kind {data[0]!r} is not read")
        return super().loads_typed(data)


def cooper_serde(*types: type) -> StrictSerializer:
    """The serializer for the checkpointers of graphs with COOPER in them.

    LangGraph's default imports and calls whatever a checkpoint names, so that whoever can write to
    the database can run code in every process that reads it. COOPER keeps plain values and
    messages alone, and needs nothing of the kind: with this, anything else comes back as the plain
    data that stands there.

    Args:
        types: Further classes that a state of your own keeps: dataclasses, pydantic models.
    """
    return StrictSerializer(allowed_msgpack_modules=types)
