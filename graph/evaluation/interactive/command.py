"""A program that talks by lines: a line of the user goes in, a line of the system comes out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.ranker.data.dialogue import DataError

MOST_BYTES = 1 << 20
"""Bytes of a line."""
PART = 1 << 16
"""Bytes of standard error that are read at once."""
LINES_TOLD, MOST_TOLD = 8, 1_000
"""Lines and characters of a program's last words in a fault, at most."""
LAST_WORDS = 1.0
"""Seconds that a program which has ended has for its last words."""


def words_of(command: str) -> list[str]:
    """Split a command into its words.

    Raises:
        DataError: It is empty, or a quotation in it does not end.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise DataError(f"the command {command!r} cannot be read: {error}") from None
    if not words:
        raise DataError("a system 'command:' needs a program: write command:PROGRAM ARGUMENTS")
    return words


def check_program(command: str) -> None:
    """Check that a command's program is there, without running it.

    Raises:
        DataError: It is not, or may not be executed.
    """
    program = words_of(command)[0]
    if shutil.which(program) is None:
        raise DataError(
            f"the command {program!r} cannot be run: there is no such program, or it is not "
            "executable; name one on the PATH, or give its path"
        )


class _Errors:
    """The end of what a program writes to its standard error.

    It is read all the time: a program waits where nobody reads what it writes.
    """

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream, self._kept = stream, b""
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        while part := await self._stream.read(PART):
            self._kept = (self._kept + part)[-4 * MOST_TOLD :]  # a character has up to four bytes

    async def told(self, seconds: float) -> str:
        """Return the last lines in one, after its end or some seconds; empty: it wrote none."""
        await asyncio.wait([self._reading], timeout=seconds)
        lines = map(clean, self._kept.decode("utf-8", "ignore").splitlines())
        return " | ".join([line for line in lines if line][-LINES_TOLD:])[-MOST_TOLD:]

    async def stop(self) -> None:
        """Read no more."""
        self._reading.cancel()
        await asyncio.wait([self._reading])


class LineProgram:
    """A running program.

    Args:
        process: Its process.
        errors: Its standard error.
        name: Its name for errors.
        seconds: Time for each answer.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, errors: _Errors, name: str, seconds: float
    ) -> None:
        self._process, self._errors, self._name = process, errors, name
        self._seconds = seconds

    async def answer(self, text: str) -> str:
        """Send a line and return the next one.

        Raises:
            ModelError: It ended ("cut"), does not answer in time ("timeout"), or writes a line
                without an end ("nonsense"). The end of its standard error is told.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(clean(text).encode("utf-8", "replace") + b"\n")
            await self._process.stdin.drain()
            async with asyncio.timeout(self._seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            told = f"wrote no line in {self._seconds:g} seconds; raise --deadline"
            raise await self._fault(told, "timeout", 0) from None
        except (ConnectionError, ValueError) as error:
            kind: FaultKind = "nonsense" if isinstance(error, ValueError) else "cut"
            told = f"cannot be talked with: {error}"
            raise await self._fault(told, kind, LAST_WORDS) from None
        if not line.endswith(b"\n"):
            raise await self._fault("ended in the middle of a conversation", "cut", LAST_WORDS)
        return clean(line.decode("utf-8", "replace"))

    async def _fault(self, told: str, kind: FaultKind, seconds: float) -> ModelError:
        last_words = await self._errors.told(seconds)
        more = f"; its standard error ends with: {last_words}" if last_words else ""
        return ModelError(f"{self._name} {told}{more}", kind)


@contextlib.asynccontextmanager
async def line_program(command: str, seconds: float) -> AsyncIterator[LineProgram]:
    """Run a program for one conversation, and end it with its children afterwards.

    Raises:
        DataError: It cannot be run.
    """
    words = words_of(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MOST_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise DataError(f"the command {words[0]!r} cannot be run: {error.strerror}") from None
    assert process.stderr
    errors = _Errors(process.stderr)
    try:
        yield LineProgram(process, errors, f"the command {words[0]!r}", seconds)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":  # which has no groups of processes
                process.kill()
            else:  # `process.kill` would reap the child behind asyncio's back
                os.killpg(process.pid, signal.SIGKILL)
        await errors.stop()  # `communicate` reads the rest
        with contextlib.suppress(TimeoutError):  # a child of its own may keep the pipes open
            async with asyncio.timeout(LAST_WORDS):
                await process.communicate()
