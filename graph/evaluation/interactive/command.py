"""A program that talks by lines: a line of the user goes in, a line of the system comes out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.ranker.data.dialogue import DataError

MOST_BYTES = 1 << 20
"""Bytes of a line."""


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


class LineProgram:
    """A running program.

    Args:
        process: Its process.
        name: Its name for errors.
        seconds: Time for each answer.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str, seconds: float) -> None:
        self._process, self._name, self._seconds = process, name, seconds

    async def answer(self, text: str) -> str:
        """Send a line and return the next one.

        Raises:
            ModelError: It ended ("cut"), does not answer in time ("timeout"), or writes a line
                without an end ("nonsense").
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(clean(text).encode("utf-8", "replace") + b"\n")
            await self._process.stdin.drain()
            async with asyncio.timeout(self._seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            told = f"{self._name} wrote no line in {self._seconds:g} seconds; raise --deadline"
            raise ModelError(told, "timeout") from None
        except (ConnectionError, ValueError) as error:
            kind: FaultKind = "nonsense" if isinstance(error, ValueError) else "cut"
            raise ModelError(f"{self._name} cannot be talked with: {error}", kind) from None
        if not line.endswith(b"\n"):
            raise ModelError(f"{self._name} ended in the middle of a conversation", "cut")
        return clean(line.decode("utf-8", "replace"))


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
            stderr=asyncio.subprocess.DEVNULL,
            limit=MOST_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise DataError(f"the command {words[0]!r} cannot be run: {error.strerror}") from None
    try:
        yield LineProgram(process, f"the command {words[0]!r}", seconds)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":  # which has no groups of processes
                process.kill()
            else:  # `process.kill` would reap the child behind asyncio's back
                os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
