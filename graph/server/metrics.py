"""What Prometheus is told. No label holds an owner, a thread or a text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)


class Metrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.turns = Counter(
            "cooper_turns", "Turns by how they ended.", ["task", "status"], registry=registry
        )
        self.seconds = Histogram(
            "cooper_turn_seconds", "Duration of turns.", ["task"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.first_words = Histogram(
            "cooper_first_words_seconds", "Time from a request to the first words of the reply.",
            ["task"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.running = Gauge("cooper_turns_running", "Turns that run or wait.", registry=registry)
        self.streams = Gauge("cooper_streams_open", "Open streams.", registry=registry)
        self.requests = Counter(
            "cooper_requests", "Answered requests.", ["method", "route", "status"],
            registry=registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """Return all values in Prometheus's text format."""
        return generate_latest(self._registry)
