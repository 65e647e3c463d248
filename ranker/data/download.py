"""Fetching the published files from where their authors keep them.

A file is written beside its place and checked before it takes it: there is no half file.
"""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.reading import READERS, detect
from langgraph_cooper.ranker.data.report import LoadReport

_ESCONV = "https://huggingface.co/datasets/thu-coai/esconv/resolve/main"
_P4G = "https://gitlab.com/ucdavisnlp/persuasionforgood/-/raw/master/data"
_BLOCK = 1 << 16


class PublicFile(NamedTuple):
    """A file of a data set at its public home.

    Attributes:
        url: Where it is.
        dialogues: How many it holds; what arrives is checked by this.
    """

    url: str
    dialogues: int


PUBLIC_HOMES: Mapping[str, Mapping[str, PublicFile]] = {
    "esconv": {
        "train.txt": PublicFile(f"{_ESCONV}/train.txt", 910),
        "valid.txt": PublicFile(f"{_ESCONV}/valid.txt", 195),
        "test.txt": PublicFile(f"{_ESCONV}/test.txt", 195),
    },
    "p4g": {
        "300_dialog.xlsx": PublicFile(f"{_P4G}/AnnotatedData/300_dialog.xlsx", 300),
        "full_dialog.csv": PublicFile(f"{_P4G}/FullData/full_dialog.csv", 1017),
    },
}
"""Where the data sets' authors keep their files: data set -> file name -> file."""

OnBytes = Callable[[str, int, int | None], None]
"""Called while a file arrives: its name, bytes so far, bytes in all (None where unknown)."""


def fetch(
    name: str,
    folder: str | Path,
    *,
    homes: Mapping[str, Mapping[str, PublicFile]] = PUBLIC_HOMES,
    timeout: float = 30.0,
    on_bytes: OnBytes = lambda *_: None,
) -> dict[str, Path]:
    """Downloads a data set from its public home into a folder, but no file that is there already.

    Args:
        name: A key of `homes`.
        folder: Where the files go; it is made if need be.
        homes: Where files are fetched from.
        timeout: Seconds without an answer after which a host counts as unreachable.
        on_bytes: Is told how far each file is.

    Returns:
        File name -> where it lies.

    Raises:
        DataError: Unknown name, no network, not the expected file, or the folder cannot be
            written. Files that had arrived by then stay.
    """
    if name not in homes:
        raise DataError(f"unknown data set {name!r}: {', '.join(homes)} can be fetched")
    target = Path(folder).expanduser()
    return {
        file: _fetch(public, target / file, timeout, on_bytes)
        for file, public in homes[name].items()
    }


def _fetch(public: PublicFile, target: Path, timeout: float, on_bytes: OnBytes) -> Path:
    """One file; written whole or not at all."""
    if target.is_file():
        return target
    # The ending stays: the form is told by it.
    part = target.with_name(f".part-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            _download(public.url, file, timeout, lambda n, of: on_bytes(target.name, n, of))
        _check(part, public)
        part.replace(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def _download(
    url: str, file: BinaryIO, timeout: float, on_bytes: Callable[[int, int | None], None]
) -> None:
    """Copies what is at the URL into the file."""
    arrived = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            while block := _read(answer):
                file.write(block)
                arrived += len(block)
                on_bytes(arrived, total)
    except (_BrokenError, urllib.error.URLError, TimeoutError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        if isinstance(error, urllib.error.HTTPError):
            reason = f"status {error.code}"
        raise DataError(
            f"{url} cannot be fetched ({reason}): try again, or download the file elsewhere and "
            "pass its path"
        ) from None
    if total is not None and arrived != total:
        raise DataError(f"{url} broke off after {arrived:,} of {total:,} bytes: try again")


class _BrokenError(Exception):
    """The connection failed while the file arrived."""


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The next block; faults of the network are told apart from those of the disk."""
    try:
        return answer.read(_BLOCK)
    except OSError as error:
        raise _BrokenError(error.strerror or str(error) or type(error).__name__) from None


def _check(part: Path, public: PublicFile) -> None:
    """Refuses what is not the expected file, such as a page that asks to log in.

    Raises:
        DataError: It has another form or holds another number of dialogues.
    """
    if part.suffix == ".xlsx" and find_spec("openpyxl") is None:
        return  # told when it is read
    try:
        form = detect(part)
        found = len(list(READERS[form](part, LoadReport(str(part), form))))
    except DataError as error:
        what = str(error).replace(str(part), "what arrived")
        raise DataError(f"{public.url} is not the expected file: {what}") from None
    if found != public.dialogues:
        raise DataError(
            f"{public.url} holds {found} dialogues where {public.dialogues} are expected: download "
            "it by hand and look at it"
        )
