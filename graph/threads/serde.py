"""Reading checkpoints without running code that they name."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

# The kinds that LangGraph writes today. It also reads "json" and "pickle", which can run code.
WRITTEN = ("null", "bytes", "bytearray", "msgpack")


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's serializer, restricted to messages and an explicit list of classes."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value.

        Raises:
            ValueError: The value is of a kind that LangGraph does not write today.
        """
        if data[0] not in WRITTEN:
            raise ValueError(f"a stored value of the kind {data[0]!r} is not read")
        return super().loads_typed(data)


def cooper_serde(*types: type) -> StrictSerializer:
    """Return a safe serializer for the checkpointers of graphs that contain COOPER.

    LangGraph's default imports and calls any class that a checkpoint names, so that a person who
    can write to the database can run code in every process that reads it. COOPER stores only plain
    values and messages. With this serializer everything else is read as plain data.

    Args:
        types: Further classes in a state of your own, such as dataclasses and pydantic models.
    """
    return StrictSerializer(allowed_msgpack_modules=types)
