"""What cannot be served is told in one sentence."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.real_model import server
from tests.real_model.server import HOST, ServerError, model_file, model_name, serving


def test_a_file_that_is_named_is_served_under_its_name(tmp_path: Path) -> None:
    file = tmp_path / "Qwen2.5-1.5B.Q4_K_M.gguf"
    file.write_bytes(b"GGUF and more")
    assert model_file(str(file)) == file
    assert model_name(file) == "qwen2.5-1.5b.q4_k_m"


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"PK", "no GGUF file")])
def test_a_file_that_is_none(content: bytes | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ServerError, match=rf"model\.gguf.*{told}"):
        model_file(str(file))


def test_a_taken_port_and_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: object())
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ServerError, match=f"port {port} cannot be used"),
            serving(port, tmp_path),
        ):
            raise AssertionError("it was served")
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    with pytest.raises(ServerError, match="xllamacpp is missing"), serving(0, tmp_path):
        raise AssertionError("it was served")
