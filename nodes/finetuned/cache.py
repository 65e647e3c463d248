"""Quick copies of generators in the user's cache: merged, in 8 bits, made once and checked."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph_cooper.nodes.cache import CACHE_VARIABLE, cache_folder
from langgraph_cooper.nodes.finetuned.base import INSTALL, Base
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.encoder import first_line

MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
_FORM = "1"
"""Version of the copies: another one is made anew."""


def quick_copy(
    checkpoint: VoiceCheckpoint,
    *,
    cache: Path | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the folder of a checkpoint's copy; make it if it is missing or damaged.

    Several processes may ask for it at once: one makes it, the others wait.

    Args:
        checkpoint: The generator.
        cache: Folder of the copies; None: `cache_folder("voices")`.
        notice: Called with one sentence before the copy is made, which takes a minute.

    Raises:
        VoiceError: It cannot be made or written.
    """
    from filelock import FileLock

    folder = copy_folder(checkpoint, cache)
    root, name = folder.parent, folder.name
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"):
            if is_whole(folder):
                return folder
            what = "trained user" if checkpoint.config.speaker == "user" else "generator"
            notice(f"preparing the {what} of the task {checkpoint.config.task} (once, a minute)")
            _make(checkpoint, root, folder)
    except OSError as error:
        raise VoiceError(
            f"{root}: the fine-tuned model's copy cannot be written ({error.strerror or error}); "
            f"it needs 150 MB: make room, or name another folder in {CACHE_VARIABLE}"
        ) from None
    return folder


def copy_folder(checkpoint: VoiceCheckpoint, cache: Path | None = None) -> Path:
    """Return the place of a checkpoint's copy, made or not."""
    return (cache or cache_folder("voices")) / _name_of(checkpoint)


def _name_of(checkpoint: VoiceCheckpoint) -> str:
    config = checkpoint.config
    made_of = f"{_FORM} {config.base} {config.base_sha256} {config.weights_sha256}"
    return f"{config.task}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"


def is_whole(folder: Path) -> bool:
    """Return whether a copy is there and has the bytes that were written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest) and all(
            _digest(folder / name) == digest for name, digest in manifest.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _make(checkpoint: VoiceCheckpoint, root: Path, folder: Path) -> None:
    """Make a copy beside its place and move it there whole."""
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=root))
    try:
        made = part / "made"
        compute(lambda: convert(checkpoint.merged(), made))
        files = sorted(file for file in made.iterdir() if file.is_file())
        manifest = {file.name: _digest(file) for file in files}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def convert(base: Base, out: Path) -> None:
    """Write a model for CTranslate2, its weights in 8 bits, with its tokenizer.

    Raises:
        VoiceError: CTranslate2 cannot run this architecture.
        VoiceMissing: It is not installed.
    """
    try:
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        raise VoiceMissing(f"the fine-tuned generator needs its runtime: {INSTALL}") from None

    class Converter(TransformersConverter):  # type: ignore[misc,unused-ignore]
        """Converts a model that is in memory."""

        def load_model(self, *_: Any, **__: Any) -> Any:
            return base.model

        def load_tokenizer(self, *_: Any, **__: Any) -> Any:
            return base.tokenizer

    with tempfile.TemporaryDirectory(dir=out.parent) as described:
        config = base.model.config
        if hasattr(config, "quantization_config"):  # of the file that it was read from
            del config.quantization_config
        if config.model_type == "bart" and not hasattr(config, "normalize_before"):
            # The converter asks for what transformers says no more.
            config.normalize_before = False
        config.save_pretrained(described)
        try:
            Converter(described).convert(str(out), quantization="int8")
        except ValueError as error:
            raise VoiceError(
                f"CTranslate2 cannot run a {config.model_type} ({first_line(error)}): "
                "choose another base"
            ) from None
    # Not its own `save`, which tells a full disk by a bare Exception.
    (out / TOKENIZER).write_text(base.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
