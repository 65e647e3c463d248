"""A JSONL file of rows that a long run appends to, so that it goes on after a stop.

The first line says with which settings the rows were made. Every further line is a row with a
`key`. What a kill or a full disk cut off is removed and made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import finished_lines, remove_unfinished_line, replacing

BEGINNING = b'{"key": "'
"""The beginning of every line."""

SETTINGS = "settings"
"""The key of the first line."""

VERSION = 1
Row = Mapping[str, Any]


class KeptRows:
    """The rows of a file.

    Args:
        file: The file, made with the first row.
        what: What it holds, such as "conversations".
        settings: What every row was made with, as plain values.

    Attributes:
        rows: Key -> row, in the order of the file.

    Raises:
        DataError: The file holds something else or rows of other settings, or cannot be opened.
    """

    def __init__(self, file: Path, what: str, settings: Mapping[str, Any]) -> None:
        self.file = file
        self._what = what
        self._settings = json.loads(json.dumps(dict(settings)))
        self._planned = planned_rows(file)
        found, self.rows = open_rows(file, what)
        self._begun = found is not None
        self._size = _size(file)
        if found is not None:
            self._check(found)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other runs on this machine off the file while rows are added.

        Raises:
            DataError: Another run writes to it, or has written to it since it was read.
        """
        with one_run_at(self.file):
            try:
                if _size(self.file) != self._size:
                    raise DataError(
                        f"another run has written to {self.file} meanwhile: give the command again"
                    )
                self._mend()
                yield
            finally:
                self._size = _size(self.file)

    def plan(self, keys: Iterable[str]) -> None:
        """Write down how many rows there will be, so that a file of a stopped run tells it.

        Args:
            keys: Those of this run. Rows that are in the file count as planned.

        Raises:
            DataError: The file cannot be written; it stays as it was.
        """
        planned = len({*keys, *self.rows})
        if planned != self._planned:
            self._planned = planned
            if self._begun:
                self._rewrite()

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            DataError: The file cannot be written; the rows before are kept.
        """
        lines = [] if self._begun else [self._header()]
        self._append([*lines, _line(row)])
        self._begun = True
        self.rows[str(row["key"])] = dict(row)

    def keep(self, keys: Iterable[str]) -> None:
        """Leave out all rows but these.

        Raises:
            DataError: The file cannot be written; it stays as it was.
        """
        wanted = [key for key in keys if key in self.rows]
        if list(self.rows) == wanted:
            return
        self.rows = {key: self.rows[key] for key in wanted}
        self._rewrite()

    def _rewrite(self) -> None:
        try:
            with replacing(self.file) as stream:
                stream.write(self._header().encode())
                stream.writelines(_line(row).encode() for row in self.rows.values())
        except OSError as error:
            raise self._unwritable(error) from None

    def order(self, keys: Sequence[str]) -> None:
        """Put the rows into an order; those without a place come last.

        Raises:
            DataError: The file cannot be written; it stays as it was.
        """
        self.keep([*keys, *(key for key in self.rows if key not in set(keys))])

    def _append(self, lines: Sequence[str]) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8", newline="\n") as stream:
                stream.writelines(lines)
        except OSError as error:
            raise self._unwritable(error) from None

    def _mend(self) -> None:
        try:
            remove_unfinished_line(self.file)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"{self.file} cannot be written: {error.strerror}; the {len(self.rows):,} {self._what} "
            "before are kept, and the same command goes on"
        )

    def _header(self) -> str:
        named = {"key": SETTINGS, "cooper": self._what, "version": VERSION}
        planned = {} if self._planned is None else {"planned": self._planned}
        return _line({**named, "settings": self._settings, **planned})

    def _check(self, found: Mapping[str, Any]) -> None:
        names = [*self._settings, *(name for name in found if name not in self._settings)]
        for name in names:
            was, now = found.get(name), self._settings.get(name)
            if was != now:
                raise DataError(
                    f"{self.file} holds {self._what} of another setting ({name}: {was!r} there, "
                    f"{now!r} now): name another --output, or give the same"
                )


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def open_rows(file: Path, what: str) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """Read a file's settings and its rows by key; None and nothing where there is no file.

    Raises:
        DataError: The file holds something else, or cannot be opened.
    """
    try:
        lines = [json.loads(line) for _, line in finished_lines(file, BEGINNING)]
        if not lines:
            return None, {}
        first, *rows = lines
        named = (first["key"], first["cooper"], first["version"])
        # Another version's rows are no rows: the lookup fails.
        settings = {(SETTINGS, what, VERSION): first[SETTINGS]}[named]
        return dict(settings), {str(row["key"]): dict(row) for row in rows}
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{file} holds something else than {what} of this program: name another file"
        ) from None


def planned_rows(file: Path) -> int | None:
    """Return how many rows a file shall have; None where nobody has written it down.

    Raises:
        DataError: The file cannot be opened.
    """
    if not file.is_file():  # nor a device, which may have no first line
        return None
    try:
        with file.open(encoding="utf-8") as stream:
            planned = json.loads(stream.readline()).get("planned")
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}") from None
    except (ValueError, AttributeError):
        return None  # `open_rows` says what is wrong with it
    return planned if isinstance(planned, int) else None


def _line(row: Row) -> str:
    return json.dumps({"key": row["key"], **row}, ensure_ascii=False) + "\n"


@contextmanager
def one_run_at(output: Path) -> Iterator[None]:
    """Keep other runs on this machine off an output, a file or a folder.

    Raises:
        DataError: Another run writes to it.
    """
    from filelock import FileLock, Timeout

    name = hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:24]
    lock = FileLock(Path(gettempdir()) / f"cooper-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(
            f"another run writes to {output}: wait for its end, or name another --output"
        ) from None
    try:
        yield
    finally:
        lock.release()
