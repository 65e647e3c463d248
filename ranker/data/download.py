"""Downloading the published data sets from where their authors keep them.

A file takes its place only after its download is complete and checked.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.data.reading import READERS, detect
from langgraph_cooper.ranker.data.report import LoadReport

_ESCONV = "https://huggingface.co/datasets/thu-coai/esconv/resolve/main"
_P4G = "https://gitlab.com/ucdavisnlp/persuasionforgood/-/raw/master/data"
_BLOCK = 1 << 16  # bytes


class PublicFile(NamedTuple):
    """A file of a data set at its public home.

    Attributes:
        url: Its address.
        dialogues: Number of dialogues, to check the download by.
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
"""Data set -> file name -> file."""

OnBytes = Callable[[str, int, int | None], None]
"""Called while a file arrives: its name, bytes so far, bytes in all (None if unknown)."""


def fetch(
    name: str,
    folder: str | Path,
    *,
    homes: Mapping[str, Mapping[str, PublicFile]] = PUBLIC_HOMES,
    timeout: float = 30.0,
    on_bytes: OnBytes = lambda *_: None,
) -> dict[str, Path]:
    """Download the files of a data set that are not in the folder yet.

    Args:
        name: A key of `homes`.
        folder: Where the files go; created if missing.
        homes: The data sets' files.
        timeout: Seconds without an answer after which a host counts as unreachable.
        on_bytes: Called with the progress of each file.

    Returns:
        File name -> its path.

    Raises:
        DataError: Unknown name, no network, not the expected file, or the folder cannot be
            written. Files that are complete by then stay.
    """
    if name not in homes:
        raise DataError(f"unknown data set {name!r}: {', '.join(homes)} can be fetched")
    try:
        target = Path(folder).expanduser()
    except RuntimeError as error:  # "~nobody"
        raise DataError(f"{folder} is no folder: {error}") from None
    for file, public in homes[name].items():
        if not (target / file).is_file():
            _fetch(public, target / file, timeout, on_bytes)
    return {file: target / file for file in homes[name]}


def _fetch(public: PublicFile, target: Path, timeout: float, on_bytes: OnBytes) -> None:
    try:
        with replacing(target) as file:
            _download(public.url, file, timeout, lambda n, of: on_bytes(target.name, n, of))
            file.flush()
            _check(Path(file.name), public)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error})") from None


def _download(
    url: str, file: BinaryIO, timeout: float, on_bytes: Callable[[int, int | None], None]
) -> None:
    """Copy the answer of a URL into a file."""
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
            error.close()  # it holds the connection
        raise DataError(
            f"{url} cannot be fetched ({reason}): try again, or download the file elsewhere and "
            "pass its path"
        ) from None
    if total is not None and arrived != total:
        raise DataError(f"{url} broke off after {arrived:,} of {total:,} bytes: try again")


class _BrokenError(Exception):
    """The connection failed while the file arrived."""


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Read the next block; tell faults of the network apart from those of the disk."""
    try:
        return answer.read(_BLOCK)
    except OSError as error:
        raise _BrokenError(error.strerror or str(error) or type(error).__name__) from None


def _check(file: Path, public: PublicFile) -> None:
    """Refuse an unexpected file, such as a page that asks to log in.

    Raises:
        DataError: It has an unknown form or another number of dialogues.
    """
    if file.suffix == ".xlsx" and find_spec("openpyxl") is None:
        return  # reading it will say so
    try:
        form = detect(file)
        found = len(list(READERS[form](file, LoadReport(str(file), form))))
    except DataError as error:
        what = str(error).replace(str(file), "what arrived")
        raise DataError(f"{public.url} is not the expected file: {what}") from None
    if found != public.dialogues:
        raise DataError(
            f"{public.url} holds {found} dialogues where {public.dialogues} are expected: download "
            "it by hand and look at it"
        )
