"""Fetching data sets: from a server on the loopback, which breaks in every way it can."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.download import PUBLIC_HOMES, PublicFile, fetch

DIALOG = [{"speaker": "usr", "text": "Hi."}, {"speaker": "sys", "text": "Hi.", "strategy": "x"}]
FILE = "".join(json.dumps({"dialog": DIALOG}) + "\n" for _ in range(3)).encode()
PATHS = {
    "/a.txt": (200, FILE),
    "/b.txt": (200, FILE[: FILE.index(b"\n") + 1]),
    "/page.txt": (200, b"<!doctype html><title>Log in</title>"),
    "/cut.txt": (200, FILE),
    "/gone.txt": (404, b"no"),
}


class _Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        status, body = PATHS[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:20] if self.path == "/cut.txt" else body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def home() -> Iterator[str]:
    _Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def homes(home: str, **files: int) -> dict[str, dict[str, PublicFile]]:
    return {"mine": {f"{f}.txt": PublicFile(f"{home}/{f}.txt", n) for f, n in files.items()}}


def test_files_arrive_whole_once_and_with_progress(home: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    where = homes(home, a=3, b=1)
    folder = tmp_path / "deep" / "data"
    got = fetch("mine", folder, homes=where, on_bytes=lambda *part: seen.append(part))
    assert got == {name: folder / name for name in ("a.txt", "b.txt")}
    assert got["a.txt"].read_bytes() == FILE
    assert ("a.txt", len(FILE), len(FILE)) in seen
    assert fetch("mine", folder, homes=where) == got
    assert _Handler.asked == ["/a.txt", "/b.txt"]


@pytest.mark.parametrize(
    ("file", "holds", "says"),
    [
        ("gone", 3, r"gone\.txt cannot be fetched \(status 404\)"),
        ("cut", 3, r"cut\.txt (broke off after 20 of|cannot be fetched)"),
        ("page", 3, "is not the expected file: what arrived, line 1: not JSON"),
        ("b", 3, "holds 1 dialogues where 3 are expected"),
    ],
)
def test_what_is_not_the_file_leaves_nothing_behind(
    home: str, tmp_path: Path, file: str, holds: int, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        fetch("mine", tmp_path, homes=homes(home, a=3, **{file: holds}))
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_no_network_is_one_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match="download the file elsewhere and pass its path"):
        fetch("mine", tmp_path, homes=homes(f"http://127.0.0.1:{port}", a=3))
    with pytest.raises(DataError, match=r"train\.txt cannot be fetched"):  # tests are kept offline
        fetch("esconv", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_and_an_unknown_name(home: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        fetch("mine", tmp_path / "file", homes=homes(home, a=3))
    with pytest.raises(DataError, match="unknown data set 'else': esconv, p4g can be fetched"):
        fetch("else", tmp_path)


def test_public_homes_are_what_the_papers_say() -> None:
    assert [file.dialogues for file in PUBLIC_HOMES["esconv"].values()] == [910, 195, 195]
    assert all(
        f.url.startswith("https://") for home in PUBLIC_HOMES.values() for f in home.values()
    )
