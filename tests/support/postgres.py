"""A real PostgreSQL on a Unix socket in a folder of its own, for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = {
    "listen_addresses": "",  # nothing but the socket
    "fsync": "off",
    "shared_buffers": "8MB",
    "max_connections": "30",
}


class NoPostgresError(Exception):
    """PostgreSQL cannot be started here; the message says why."""


_starting: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {}


@contextmanager
def stopped(conninfo: str) -> Iterator[None]:
    """Stop a server that `postgres` started, at once, and start it again afterwards."""
    stop, start, how = _starting[conninfo]
    subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, **how)
    try:
        yield
    finally:
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, **how)


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server and yield its connection string.

    Raises:
        NoPostgresError: There are no binaries, or no user but root to run them.
    """
    programs = _programs()
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path must be short
    try:
        if owner:
            os.chown(folder, int(owner["user"]), int(owner["group"]))
        data = folder / "data"
        how: dict[str, Any] = {**owner, "cwd": folder, "stdin": subprocess.DEVNULL}
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8",
             "--no-locale", "--no-sync"],
            capture_output=True, text=True, check=False, **how,
        )  # fmt: skip
        if made.returncode:
            raise NoPostgresError(f"initdb failed: {made.stderr.strip()[-300:]}")
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        control: list[Any] = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        options = " ".join([*(f"'{setting}'" for setting in settings), f"-k {folder}"])
        start, stop = [*control, "start", "-o", options], [*control, "stop", "-m", "immediate"]
        conninfo = f"host={folder} user=test dbname=postgres"
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, **how)
        _starting[conninfo] = stop, start, how
        try:
            yield conninfo
        finally:
            del _starting[conninfo]
            subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, **how)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        places.insert(0, Path(found).resolve().parent)
    for place in places:
        if all((place / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
            return place
    raise NoPostgresError("no PostgreSQL server is installed")


def _owner() -> dict[str, Any]:
    """Return the user to run it, for `subprocess`: PostgreSQL refuses root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:  # Windows has no such users
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise NoPostgresError("PostgreSQL refuses to run as root, and there is no other user")
