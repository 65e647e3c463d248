"""The guard's second reader: looks at messages of which the first one is not certain, each alone.

It may find a crisis that the first one misses, and clear a concern. Where the first reader alone
comes to a certain crisis, it is not asked: nothing that it says, and none of its faults, takes the
help text away. Nor does a fault take away the question that the first reader's concern brings.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from langchain_core.runnables import Runnable, RunnableConfig

from langgraph_cooper.nodes.crisis import reading
from langgraph_cooper.nodes.crisis.course import Finding, Reader
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.budget import guard_step
from langgraph_cooper.nodes.llm.faults import no_credit
from langgraph_cooper.nodes.node import fault_of
from langgraph_cooper.nodes.state import Fault
from langgraph_cooper.prompts import CrisisKind
from langgraph_cooper.ranker.model.forking import renew_after_fork

REMEMBERED = 4_096  # opinions: a graph inside another one reads its messages anew in each turn
MOST_READ = 3  # messages of a turn, the last ones
MOST_CHARACTERS = 2_000  # a longer message is not cut: "none" would then be said of a part of it


class Opinions(NamedTuple):
    """What the second reader found in messages, under their digests."""

    found: Mapping[str, Finding]

    def over(self, first: Reader) -> Reader:
        """Return a reader that takes an opinion where there is one, else the first reader's.

        An opinion is of a message alone: it clears no concern that what was said before brings.
        """

        def read(text: str, said: Sequence[str] = ()) -> Finding:
            finding = first(text, said)
            opinion = self.found.get(digest(text))
            if opinion is None or finding.tier == "certain":
                return finding
            by_context = finding.tier != "none" and first(text).tier == "none"
            return finding if opinion.tier == "none" and by_context else opinion

        return read if self.found else first


def digest(text: str) -> str:
    """Return what stands for a message: people's words are not kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


NONE = Opinions(MappingProxyType({}))


class SecondReader:
    """Asks a reader about messages that are not certain, and remembers its opinions; safe to share.

    Args:
        make: Returns what reads a message; called with the first one.
        doubts: Returns the likeliest kind of crisis of a message that it should read, else None;
            None: `reading.doubts`.
    """

    def __init__(
        self,
        make: Callable[[], Runnable[str, Finding]],
        doubts: Callable[[str], CrisisKind | None] | None = None,
    ) -> None:
        self._make = make
        self._made: Runnable[str, Finding] | None = None
        self._doubts = doubts or reading.doubts
        self._known: OrderedDict[str, Finding] = OrderedDict()
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin with free locks, in a child too: a thread of its parent may have held them."""
        self._lock, self._making = threading.Lock(), threading.Lock()

    def prepare(self) -> None:
        """Set up the reader, which else happens with the first message; it is asked nothing.

        Raises:
            ModelError: Its model cannot be set up.
        """
        self._reader()

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Return those texts that it should read and has not: the last few, the last one first."""
        short = [text for text in dict.fromkeys(texts) if len(text) <= MOST_CHARACTERS]
        with self._lock:
            new = [text for text in reversed(short) if digest(text) not in self._known]
        return list(islice((text for text in new if self._doubts(text)), MOST_READ))

    def opinions(self) -> Opinions:
        """Return all that is known."""
        with self._lock:
            return Opinions(dict(self._known))

    def read(
        self, texts: Sequence[str], config: RunnableConfig, *, feared: bool = False
    ) -> Fault | None:
        """Read messages until one fails, and return what went wrong.

        Args:
            texts: The messages.
            config: The run's.
            feared: Whether the conversation is about a feared crisis already.

        Raises:
            CooperError: A person has to mend it first, such as a refused key, and nothing is
                feared. Credit runs out while people talk: without it the turn goes on.
        """
        try:
            with guard_step(len(texts)):
                for text in texts:
                    self._keep(text, self._reader().invoke(text, config))
        except Exception as error:
            return self._fault(error, texts, feared=feared)
        return None

    async def aread(
        self, texts: Sequence[str], config: RunnableConfig, *, feared: bool = False
    ) -> Fault | None:
        """Do as `read` does, all messages at once; none is read on once one fails."""
        tasks: list[asyncio.Task[None]] = []

        async def one(reader: Runnable[str, Finding], text: str) -> None:
            self._keep(text, await reader.ainvoke(text, config))

        try:
            if texts:
                reader = await asyncio.to_thread(self._reader)
                with guard_step(len(texts)):  # the tasks take it over
                    tasks += [asyncio.create_task(one(reader, text)) for text in texts]
            await asyncio.gather(*tasks)
        except Exception as error:
            return await asyncio.to_thread(self._fault, error, texts, feared=feared)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    def _fault(self, error: Exception, texts: Sequence[str], *, feared: bool) -> Fault:
        lasting = isinstance(error, ModelError) and not error.passing
        goes_on = lasting and (
            feared
            or no_credit(error)
            or any(reading.read_meaning(text).tier != "none" for text in texts)
        )
        return fault_of("guard", error, feared=goes_on)

    def _reader(self) -> Runnable[str, Finding]:
        with self._making:  # which takes a second: others look their messages up meanwhile
            if self._made is None:
                self._made = self._make()
            return self._made

    def _keep(self, text: str, finding: Finding) -> None:
        if finding.tier != "none" and finding.kind is None:
            finding = finding._replace(kind=self._doubts(text) or "suicide")
        with self._lock:
            self._known[digest(text)] = finding
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
