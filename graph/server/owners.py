"""Whose request it is: bearer tokens, or an authenticator of the operator's own."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path

from langgraph_cooper.prompts import CooperError

Headers = Mapping[str, str]
Authenticator = Callable[[Headers], str | Awaitable[str | None] | None]
"""Returns the owner that a request's headers (names in lower case) show, or None for nobody."""

LOCAL = "local"
"""The owner of every thread of a server that asks nobody who they are."""

SHORTEST = 16
MOST_OWNER = 200
LINE = re.compile(r"([^\s:]{1,200}):(\S+)")
HASH = re.compile(r"sha256:([0-9A-Fa-f]{64})")


class AuthenticationError(CooperError):
    """The tokens or the authenticator of the server cannot be used."""


class Tokens:
    """Owners by bearer token. Only the tokens' SHA-256 hashes are kept.

    Args:
        lines: One `owner:token` or `owner:sha256:hash` each; empty lines and `#` are skipped.
        where: The name of their source, for errors.

    Raises:
        AuthenticationError: A line has another form, a token is shorter than 16 characters, two
            owners have one token, or there is none.
    """

    def __init__(self, lines: Iterable[str], where: str) -> None:
        owners: dict[bytes, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            place = f"{where}, line {number}"
            known, owner = _parsed(line.strip(), place)
            if owners.setdefault(known, owner) != owner:
                raise AuthenticationError(
                    f"the token of {owner!r} ({place}) is that of {owners[known]!r}, too: give "
                    "each owner a token of their own"
                )
        self._owners = list(owners.items())
        if not self._owners:
            raise AuthenticationError(f"{where} holds no token: add a line of the form owner:token")

    def __call__(self, headers: Headers) -> str | None:
        """Return the owner of the token, comparing with every token in the same time."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "replace")).digest()
        found = None
        for known, owner in self._owners:
            if hmac.compare_digest(known, given):
                found = owner
        return found if kind.lower() == "bearer" else None


def _parsed(line: str, where: str) -> tuple[bytes, str]:
    match = LINE.fullmatch(line)
    if match is None:
        raise AuthenticationError(f"{where} is not of the form owner:token (without spaces)")
    owner, token = match.groups()
    if token.startswith("sha256:"):
        digest = HASH.fullmatch(token)
        if digest is None:
            raise AuthenticationError(
                f"the hash of {owner!r} ({where}) has not the 64 hexadecimal digits of a SHA-256: "
                "copy it whole"
            )
        return bytes.fromhex(digest[1]), owner
    if len(token) < SHORTEST:
        raise AuthenticationError(
            f"the token of {owner!r} ({where}) is shorter than {SHORTEST} characters: make one "
            "with `python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
    return hashlib.sha256(token.encode()).digest(), owner


def nobody_is_asked(_: Headers) -> str:
    """Return the one owner of a server on the loopback without tokens."""
    return LOCAL


def tokens_from_file(path: Path) -> Tokens:
    """Read a file of tokens.

    Raises:
        AuthenticationError: It cannot be read, or its lines cannot be used.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AuthenticationError(f"{path} cannot be read as a file of tokens: {error}") from None
    return Tokens(lines, str(path))


def load_authenticator(name: str) -> Authenticator:
    """Import an authenticator.

    Args:
        name: `module:function`.

    Raises:
        AuthenticationError: There is no such function.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise AuthenticationError(
            f"the authenticator {name!r} cannot be imported ({error}): name a function as "
            "module:function"
        ) from None
    if not callable(found):
        raise AuthenticationError(f"the authenticator {name!r} is no function")
    return found  # type: ignore[no-any-return]


async def owner_of(authenticator: Authenticator, headers: Headers) -> str | None:
    """Return the owner of a request, or None. An authenticator may be sync or async."""
    found = authenticator(headers)
    owner = await found if inspect.isawaitable(found) else found
    return owner if isinstance(owner, str) and 0 < len(owner) <= MOST_OWNER else None
