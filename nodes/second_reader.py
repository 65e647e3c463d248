"""The guard's second reader: looks at messages of which the first one is not certain.

It reads each in the light of what the user typed before. It may find a crisis that the first
reader misses, and clear a concern. Where the first reader alone comes to a certain crisis, it is
not asked: nothing that it says, and none of its faults, takes the help text away. Nor does a fault
take away the question that the first reader's concern brings.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from langchain_core.runnables import Runnable, RunnableConfig

from langgraph_cooper.nodes.crisis import reading
from langgraph_cooper.nodes.crisis.course import Finding, Reader, ToRead
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
        """Return a reader that takes an opinion where there is one, else the first reader's."""

        def read(text: str, said: Sequence[str] = ()) -> Finding:
            finding = first(text, said)
            opinion = self.found.get(ToRead.after(said, text).digest)
            return finding if opinion is None or finding.tier == "certain" else opinion

        return read if self.found else first


NONE = Opinions(MappingProxyType({}))


class SecondReader:
    """Asks a reader about messages that are not certain, and remembers its opinions; safe to share.

    Args:
        make: Returns what reads a message; called with the first one.
        doubts: Returns the likeliest kind of crisis of a message that it should read, after those
            before it, else None; None: `reading.doubts`.
    """

    def __init__(
        self,
        make: Callable[[], Runnable[ToRead, Finding]],
        doubts: Callable[[str, Sequence[str]], CrisisKind | None] | None = None,
    ) -> None:
        self._make = make
        self._made: Runnable[ToRead, Finding] | None = None
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

    def unknown(self, messages: Sequence[ToRead]) -> list[ToRead]:
        """Return those that it should read and has not: the last few, the last one first."""
        short = [each for each in dict.fromkeys(messages) if len(each.text) <= MOST_CHARACTERS]
        with self._lock:
            new = [each for each in reversed(short) if each.digest not in self._known]
        return list(islice((each for each in new if self._doubts(*each)), MOST_READ))

    def opinions(self) -> Opinions:
        """Return all that is known."""
        with self._lock:
            return Opinions(dict(self._known))

    def read(
        self, messages: Sequence[ToRead], config: RunnableConfig, *, feared: bool = False
    ) -> Fault | None:
        """Read messages until one fails, and return what went wrong.

        Args:
            messages: The messages.
            config: The run's.
            feared: Whether the conversation is about a feared crisis already.

        Raises:
            CooperError: A person has to mend it first, such as a refused key, and nothing is
                feared. Credit runs out while people talk: without it the turn goes on.
        """
        try:
            with guard_step(len(messages)):
                for each in messages:
                    self._keep(each, self._reader().invoke(each, config))
        except Exception as error:
            return self._fault(error, messages, feared=feared)
        return None

    async def aread(
        self, messages: Sequence[ToRead], config: RunnableConfig, *, feared: bool = False
    ) -> Fault | None:
        """Do as `read` does, all messages at once; none is read on once one fails."""
        tasks: list[asyncio.Task[None]] = []

        async def one(reader: Runnable[ToRead, Finding], message: ToRead) -> None:
            self._keep(message, await reader.ainvoke(message, config))

        try:
            if messages:
                reader = await asyncio.to_thread(self._reader)
                with guard_step(len(messages)):  # the tasks take it over
                    tasks += [asyncio.create_task(one(reader, each)) for each in messages]
            await asyncio.gather(*tasks)
        except Exception as error:
            return await asyncio.to_thread(self._fault, error, messages, feared=feared)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    def _fault(self, error: Exception, messages: Sequence[ToRead], *, feared: bool) -> Fault:
        lasting = isinstance(error, ModelError) and not error.passing
        goes_on = lasting and (
            feared
            or no_credit(error)
            or any(reading.read_meaning(*each).tier != "none" for each in messages)
        )
        return fault_of("guard", error, feared=goes_on)

    def _reader(self) -> Runnable[ToRead, Finding]:
        with self._making:  # which takes a second: others look their messages up meanwhile
            if self._made is None:
                self._made = self._make()
            return self._made

    def _keep(self, message: ToRead, finding: Finding) -> None:
        if finding.tier != "none" and finding.kind is None:
            finding = finding._replace(kind=self._doubts(*message) or "suicide")
        with self._lock:
            self._known[message.digest] = finding
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
