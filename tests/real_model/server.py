"""Serves a real language model through llama.cpp: `make llm`.

Without `GGUF=FILE` it is SmolLM2-135M-Instruct, whose file `make install` brings. It listens on the
loopback alone, and answers one request after another.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from langgraph_cooper.nodes.finetuned.base import packaged_base
from langgraph_cooper.nodes.finetuned.errors import VoiceMissing
from langgraph_cooper.prompts import CooperError

HOST, PORT = "127.0.0.1", 8080
START_SECONDS = 300
STOP_SECONDS = 10


class ServerError(CooperError):
    """The server cannot be started."""


def model_file(gguf: str | None) -> Path:
    """Return the model's file: the one that is named, or SmolLM2-135M's.

    Raises:
        ServerError: It is no GGUF file, or SmolLM2-135M is not installed.
        VoiceError: SmolLM2-135M's file is another one.
    """
    try:
        file = Path(gguf) if gguf else packaged_base()
    except VoiceMissing:
        raise ServerError(
            "SmolLM2-135M is not installed: 'make install', or name a file, as in GGUF=model.gguf"
        ) from None
    try:
        with file.open("rb") as opened:
            is_gguf = opened.read(4) == b"GGUF"
    except OSError as error:
        raise ServerError(f"{file} cannot be read ({error.strerror}): name a GGUF file") from None
    if not is_gguf:
        raise ServerError(f"{file} is no GGUF file: name one, as in GGUF=model.gguf")
    return file


def model_name(file: Path) -> str:
    """Return the name of a file's model."""
    return file.stem.lower()


def base_url(port: int) -> str:
    """Return the value for OPENAI_BASE_URL."""
    return f"http://{HOST}:{port}/v1"


def answers(port: int, name: str) -> bool:
    """Return whether a server of this model answers at the port."""
    try:
        listed = httpx.get(f"{base_url(port)}/models", timeout=5, trust_env=False).json()
        return name in {model["id"] for model in listed["data"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def serving(port: int, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server in a process of its own, which answers when the block begins.

    Args:
        port: Its port on the loopback.
        file: The model.

    Raises:
        ServerError: The port is taken, or the server ends or does not answer.
    """
    if find_spec("xllamacpp") is None:
        raise ServerError("the package xllamacpp is missing: 'pip install \".[llm]\"'")
    with socket.socket() as free:
        if os.name == "posix":  # elsewhere the option lets a port be taken twice
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} cannot be used ({error.strerror}): end the program that uses it, or "
                f"choose another port, as in PORT={port + 1}"
            ) from None
    command = [sys.executable, "-m", "tests.real_model.llama", str(file.resolve())]
    command += ["--name", model_name(file), "--port", str(port)]
    command += ["--threads", str(os.cpu_count() or 1)]
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        _await(process, port, model_name(file))
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers(port, name):
        if process.poll() is not None:
            raise ServerError(
                f"the server ended at once (exit code {process.returncode}); its reason is above: "
                "if it cannot read the model, name another file"
            )
        if time.monotonic() > until:
            raise ServerError(f"the server did not answer within {START_SECONDS} s; start it again")
        time.sleep(0.2)


def main() -> None:
    """Serve until Ctrl-C, and print how to talk with it."""
    parser = argparse.ArgumentParser(description="Serve a small language model on the loopback.")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--gguf", help="the model's file; by default SmolLM2-135M-Instruct")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the server's process as well
    try:
        file = model_file(given.gguf)
        with serving(given.port, file) as process:
            url, name = base_url(given.port), model_name(file)
            print(
                f"{name} answers at {url} (Ctrl-C ends it). To talk with it, in another "
                f"terminal:\n\n  OPENAI_BASE_URL={url} cooper chat --model {name} "
                "--deadline 180\n",
                flush=True,
            )
            process.wait()
    except CooperError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
