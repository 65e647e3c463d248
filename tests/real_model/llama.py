"""llama.cpp's own HTTP server in this process, by xllamacpp, until the process ends.

python -m tests.real_model.llama MODEL.gguf --name NAME --port 8080 --threads 2

`server.py` starts it: a signal ends it at once, whatever it computes.
"""

from __future__ import annotations

import argparse
import threading

CONTEXT = 4096
"""Tokens of a slot: what the prompts are bounded for by default (docs/models.md)."""


def main() -> None:
    """Serve a model."""
    import xllamacpp

    parser = argparse.ArgumentParser(description="Serve a GGUF file on the loopback.")
    parser.add_argument("file")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = given.file, {given.name}
    params.hostnames, params.port = ["127.0.0.1"], given.port
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.threads
    params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
