"""What the serializer compresses, and what it does not read."""

from __future__ import annotations

import zlib

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_cooper.graph import cooper_serde
from langgraph_cooper.graph.threads import serde

VALUES = ["", "short", ["I feel low."] * 50, [HumanMessage("I lost my job.", id="1")], None, b"raw"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_and_are_never_longer(value: object) -> None:
    ours, theirs = cooper_serde(), JsonPlusSerializer()
    written = ours.dumps_typed(value)
    assert ours.loads_typed(written) == value
    assert len(written[1]) <= len(theirs.dumps_typed(value)[1])
    assert ours.loads_typed(theirs.dumps_typed(value)) == value


def test_a_repetitive_value_is_much_shorter() -> None:
    value = [HumanMessage(f"part {number}", id=str(number)) for number in range(20)]
    assert 4 * len(cooper_serde().dumps_typed(value)[1]) < len(
        JsonPlusSerializer().dumps_typed(value)[1]
    )


def test_a_value_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serde, "LARGEST", 1_000)
    bomb = zlib.compress(b"\x00" * 1_000_000)
    with pytest.raises(ValueError, match="cut off, or too large"):
        cooper_serde().loads_typed(("msgpack+zlib", bomb))


@pytest.mark.parametrize("data", [b"", b"not compressed", zlib.compress(b"\x91" * 100)[:-8]])
def test_a_damaged_value_is_named(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|cut off"):
        cooper_serde().loads_typed(("msgpack+zlib", data))


def test_compression_hides_no_forbidden_kind() -> None:
    for kind in ("pickle+zlib", "json+zlib", "msgpack+zlib+zlib", "+zlib"):
        with pytest.raises(ValueError, match="is not read"):
            cooper_serde().loads_typed((kind, zlib.compress(b"")))
