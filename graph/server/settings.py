"""What the operator of the server chooses."""

from __future__ import annotations

from dataclasses import dataclass, field

from langgraph_cooper.nodes.context import CooperContext

DAY = 86_400.0


@dataclass(frozen=True)
class Limits:
    """What clients may take.

    Attributes:
        body: Bytes of a request's body.
        streams: Open streams in this process.
        owner_streams: Open streams of one owner in this process.
        turns: Turns that run or wait in this process.
        rate: Requests of one owner in a minute; as many may come at once.
        refusals: Refused tokens of one address in a minute.
        wait: Seconds that a message waits for an earlier turn of its thread.
        arrive: Seconds that the head of a request may take, and each piece of its body.
        head: Seconds until a stream's headers are sent although its turn has not begun.
        slow: Seconds that a client may take to read what is in its connection's buffer.
        grace: Seconds that turns and streams have to end when the server is stopped.
        kept: Seconds that the events of a turn can be read again.
    """

    body: int = 1_000_000
    streams: int = 1_000
    owner_streams: int = 100
    turns: int = 64
    rate: int = 240
    refusals: int = 30
    wait: float = 10.0
    arrive: float = 30.0
    head: float = 15.0
    slow: float = 30.0
    grace: float = 10.0
    kept: float = 7 * DAY


@dataclass(frozen=True)
class Settings:
    """The choices for a server.

    Attributes:
        context: The options of every turn.
        limits: What clients may take.
        local: Whether only requests to this machine's own names are answered, because nobody is
            asked who they are.
    """

    context: CooperContext = field(default_factory=CooperContext)
    limits: Limits = field(default_factory=Limits)
    local: bool = True
