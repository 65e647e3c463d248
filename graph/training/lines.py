"""Reads the lines that the guard's classifier learns from and is measured on."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.prompts import CrisisKind
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_text

TARGETS = {"+": 1.0, "-": 0.0, "?": 0.5}
MANNERS = {"+": "hint", "-": "trap", "?": "unsure"}  # where a line does not say
LONGER, DISGUISED = 0.2, 0.1  # shares of the lines that are learnt from in another form, too
SHORT = 25  # words of an ordinary sentence that others are hidden among
DISGUISES = str.maketrans({"i": "1", "e": "3", "a": "4", "o": "0", "s": "5"})


class Line(NamedTuple):
    """A message that one writer wrote."""

    writer: str
    label: str
    """ "+" for a crisis, "-" for none, "?" where a careful supporter might ask."""
    kind: str
    how: str
    """How a crisis is told ("plain", "worded", "hint"), or what a harmless line is."""
    text: str


class Example(NamedTuple):
    """A message to learn from."""

    text: str
    crisis: float
    """1 for a crisis, 0 for none, .5 where a careful supporter might ask."""
    kind: CrisisKind | None = None
    weight: float = 1.0


def read_lines(folder: Path, held_out: Collection[str] = ()) -> list[Line]:
    """Read a folder's `.tsv` files, one per writer, without the writers that are held out.

    Blank lines are skipped.

    Args:
        folder: Files with the fields label, kind, optionally how it is said, and text.
        held_out: Writers whose files are not opened: the part of the name before the first "_".

    Raises:
        DataError: A file cannot be read, a line is malformed, or there is none.
    """
    lines, kinds = [], [kind.name for kind in phrases().kinds]
    for file in sorted(folder.glob("*.tsv")):
        writer = file.stem.split("_")[0]
        if writer in held_out:
            continue
        # Not splitlines(), which also splits within a text, at U+2028 and others.
        for number, row in enumerate(read_text(file).split("\n"), start=1):
            if not row.strip():
                continue
            label, *rest = row.split("\t")
            if label not in TARGETS or len(rest) not in (2, 3) or not rest[-1].strip():
                raise DataError(
                    f"{file}, line {number}: write label, kind, how (may be left out) and text, "
                    'with tabs between; a label is "+", "-" or "?"'
                )
            if label == "+" and rest[0] not in kinds:
                raise DataError(
                    f"{file}, line {number}: no kind of crisis is called {rest[0]!r}: write "
                    f"{', '.join(kinds)}"
                )
            how = rest[1] if len(rest) == 3 else MANNERS[label]
            lines.append(Line(writer, label, rest[0], how, rest[-1]))
    if not lines:
        raise DataError(f"{folder} has no lines to learn from: name a folder of .tsv files")
    return lines


def check_lines(lines: Sequence[Line], folds: int) -> None:
    """Refuse, before hours of training, lines on which no thresholds can be chosen.

    Args:
        lines: Lines of all writers, or of those on whom the thresholds are chosen.
        folds: Number of models that leave writers out; 0: none do.

    Raises:
        DataError: There are fewer writers than folds, or no lines that tempt a guard.
    """
    writers = len({line.writer for line in lines})
    problems = []
    if folds and not 2 <= folds <= writers:
        problems.append(f"{folds} folds of {writers} writers: choose --folds from 2 to {writers}")
    if not any(line.how == "trap" for line in lines):
        problems.append('no trap, a harmless line (label "-") that tempts a guard: add some')
    if problems:
        raise DataError(f"thresholds cannot be chosen from these lines: {'; '.join(problems)}")


def read_phrases(file: Path) -> list[Line]:
    """Read a corpus of phrases: tables `crisis`, each with a kind and what is said, and `benign`.

    Raises:
        DataError: It is malformed.
    """
    try:
        tables = tomllib.loads(read_text(file))
        crises = [
            Line("phrases", "+", group["kind"], "plain", said)
            for group in tables["crisis"].values()
            for said in group["say"]
        ]
        benign = tables["benign"].items()
        harmless = [
            Line("phrases", "-", name, "trap", said) for name, listed in benign for said in listed
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} cannot be read ({type(error).__name__}: {error}): it needs "
            "tables [crisis.NAME] with kind and say, and lists under [benign]"
        ) from None
    return crises + harmless


def line_examples(lines: Iterable[Line]) -> list[Example]:
    """Return what a classifier learns from these lines; doubtful ones weigh half."""
    kinds = {kind.name: kind.name for kind in phrases().kinds}
    return [
        Example(
            line.text,
            TARGETS[line.label],
            kinds.get(line.kind) if line.label == "+" else None,  # type: ignore[call-overload]
            0.5 if line.label == "?" else 1.0,
        )
        for line in lines
    ]


def variants(
    examples: Sequence[Example], ordinary: Iterable[str], rng: random.Random
) -> list[Example]:
    """Return some of the examples in another form: among short ordinary messages, or disguised."""
    short = [text for text in ordinary if len(text.split()) < SHORT]
    return longer(examples, short, LONGER, rng) + disguised(examples, DISGUISED, rng)


def longer(
    examples: Iterable[Example], ordinary: Sequence[str], share: float, rng: random.Random
) -> list[Example]:
    """Return a share of the examples as longer messages, among ordinary sentences."""
    found = []
    for example in examples:
        if ordinary and rng.random() < share:
            before = rng.sample(ordinary, rng.randint(0, 2))
            after = rng.sample(ordinary, rng.randint(0 if before else 1, 2))
            found.append(example._replace(text=" ".join([*before, example.text, *after])))
    return found


def disguised(examples: Iterable[Example], share: float, rng: random.Random) -> list[Example]:
    """Return a share of the examples with digits for letters in half of their words."""
    return [
        example._replace(
            text=" ".join(
                word.translate(DISGUISES) if rng.random() < 0.5 else word
                for word in example.text.split()
            )
        )
        for example in examples
        if rng.random() < share
    ]
