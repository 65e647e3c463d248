"""`make openapi`: schemathesis tries what OpenAPI says of the server. Outside the suite.

schemathesis has an environment of its own: it needs other versions than LangGraph's server.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from langgraph_cooper.graph.server.owners import Tokens
from langgraph_cooper.graph.server.settings import Limits
from tests.support.serving import offers, serving

LIMITS = Limits(rate=1_000_000, refusals=1_000_000, turns=1_000, grace=1)
TOKEN = "a-token-for-this-test"
CHECKS = Path(__file__).with_name("schemathesis.toml")


def main(program: str, *arguments: str) -> int:
    """Serve with a cheap ranker, and run schemathesis against it."""
    tokens = Tokens([f"anna:{TOKEN}"], "the test")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder, "s.sqlite"), offers(), authenticate=tokens, limits=LIMITS) as url,
    ):
        while httpx.get(f"{url}/ready").status_code != 200:
            time.sleep(0.2)
        command = [program, "--config-file", str(CHECKS), "run", f"{url}/openapi.json"]
        more = ["-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "8", *arguments]
        return subprocess.run([*command, *more], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
