"""Reading checkpoints without running code that they name, and writing them small."""

from __future__ import annotations

import zlib
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

# The kinds that LangGraph writes today. It also reads "json" and "pickle", which can run code.
WRITTEN = ("null", "bytes", "bytearray", "msgpack")
COMPRESSED = "+zlib"
"""Ends the kind of a compressed value."""
LARGEST = 256 * 2**20
"""Bytes of a value once decompressed; a forged one could fill the memory."""


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's serializer, restricted to messages and an explicit list of classes.

    It compresses what it writes where that is shorter, and reads values of both forms.
    """

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Write a value: its kind, and its bytes."""
        kind, data = super().dumps_typed(obj)
        packed = zlib.compress(data)
        return (kind + COMPRESSED, packed) if len(packed) < len(data) else (kind, data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value.

        Raises:
            ValueError: The value is of a kind that LangGraph does not write today, or it is larger
                than any of a conversation.
        """
        kind, value = data[0].removesuffix(COMPRESSED), data[1]
        if kind not in WRITTEN:
            raise ValueError(f"a stored value of the kind {data[0]!r} is not read")
        if kind != data[0]:
            value = _unpacked(value)
        return super().loads_typed((kind, value))


def _unpacked(value: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        unpacked = reader.decompress(value, LARGEST)
    except zlib.error as error:
        raise ValueError(f"a stored value is damaged ({error})") from None
    if not reader.eof:
        raise ValueError("a stored value is cut off, or too large to be read")
    return unpacked


def cooper_serde(*types: type) -> StrictSerializer:
    """Return a safe serializer for the checkpointers of graphs that contain COOPER.

    LangGraph's default imports and calls any class that a checkpoint names, so that a person who
    can write to the database can run code in every process that reads it. COOPER stores only plain
    values and messages. With this serializer everything else is read as plain data.

    What it writes is compressed, to about half. It reads what LangGraph's default wrote; a database
    that it wrote to is read with this serializer alone.

    Args:
        types: Further classes in a state of your own, such as dataclasses and pydantic models.
    """
    return StrictSerializer(allowed_msgpack_modules=types)
