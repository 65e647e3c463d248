"""METEOR 1.5 by its own program, where Java and the package pycocoevalcap (its jar) are installed.

nltk's METEOR is version 1.0 and gives other figures.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from langgraph_cooper.prompts.extras import install
from langgraph_cooper.ranker.data.dialogue import DataError

FAILED = "METEOR's program ended: check that 'java -version' works"
JAR = "meteor-1.5.jar"
MISSING = f"METEOR is left out: it needs Java and the package pycocoevalcap: {install('meteor')}"


@cache
def meteor_command() -> tuple[str, ...] | None:
    """Return the command that runs METEOR; None where it is not installed."""
    java, package = shutil.which("java"), find_spec("pycocoevalcap")
    if not java or not package or not package.submodule_search_locations:
        return None
    jar = Path(package.submodule_search_locations[0]) / "meteor" / JAR
    if not jar.is_file():
        return None
    return (java, "-jar", "-Xmx2G", str(jar), "-", "-", "-stdio", "-l", "en", "-norm")


@dataclass(frozen=True)
class Meteor:
    """METEOR's statistics of some replies.

    Attributes:
        statistics: [T] a line for each reply; the program adds up several of them.
        each: [T] the reply's own score, in [0, 1].
        total: The score of all replies together, in [0, 1].
    """

    statistics: Sequence[str]
    each: Sequence[float]
    total: float

    @classmethod
    def of(cls, replies: Sequence[str], references: Sequence[str]) -> Meteor | None:
        """Compare replies with references; None where METEOR is not installed.

        Raises:
            DataError: The program failed.
        """
        if meteor_command() is None:
            return None
        pairs = zip(replies, references, strict=True)
        with _program() as ask:
            statistics = [
                ask(f"SCORE ||| {_one(real)} ||| {_one(said)}", 1)[0] for said, real in pairs
            ]
            scores = ask(_evaluation(statistics), len(statistics) + 1)
        *each, total = map(float, scores)
        return cls(statistics, each, total)

    def score(self, rows: Sequence[int]) -> float:
        """METEOR over the corpus of these replies, in percent."""
        if len(rows) == len(self.statistics):
            return 100 * self.total
        chosen = [self.statistics[row] for row in rows]
        with _program() as ask:
            return 100 * float(ask(_evaluation(chosen), len(chosen) + 1)[-1])


def _one(text: str) -> str:
    """Return a text without the program's own separator."""
    return " ".join(text.replace("|||", "").split())


def _evaluation(statistics: Sequence[str]) -> str:
    return " ||| ".join(["EVAL", *statistics])


@contextmanager
def _program() -> Iterator[Callable[[str, int], list[str]]]:
    """Start METEOR; what is yielded sends a line and returns so many lines of the answer."""
    command = meteor_command()
    assert command is not None
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as program:
        given, answered = program.stdin, program.stdout
        assert given
        assert answered

        def ask(line: str, lines: int) -> list[str]:
            try:
                given.write(line + "\n")
                given.flush()
            except BrokenPipeError:
                raise DataError(FAILED) from None
            answer = [answered.readline().rstrip("\n") for _ in range(lines)]
            if not answer[-1]:
                raise DataError(FAILED)
            return answer

        try:
            yield ask
        finally:
            program.kill()
            with suppress(BrokenPipeError):  # of what it has not read
                given.close()
