"""Sets up chat models from a name and the environment, or from the caller's model."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from langchain_core.language_models import BaseChatModel

from langgraph_cooper.nodes.errors import ModelError

# The client's default is ten minutes: too long for a person who waits.
TIMEOUT_SECONDS = 60.0


def chat_model(model: str | BaseChatModel, temperature: float | None = None) -> BaseChatModel:
    """Return the langchain-openai model of a name, or the given model without its retries.

    No langchain-openai model retries by itself: two layers of retries would multiply.

    Args:
        model: A name that the endpoint knows (OPENAI_BASE_URL, by default OpenAI's own), or a
            chat model, which keeps its other settings.
        temperature: Sampling temperature; None leaves it to the endpoint.

    Raises:
        ModelError: There is no key for OpenAI's own endpoint.
    """
    if not isinstance(model, str):
        return _without_retries(model)
    base_url = os.environ.get("OPENAI_BASE_URL") or None
    key = os.environ.get("OPENAI_API_KEY") or None
    if base_url and not base_url.startswith(("http://", "https://")):
        raise ModelError(
            f"OPENAI_BASE_URL is {base_url!r}, which is not a web address: write http://{base_url}"
        )
    if key is None and base_url is None:
        raise ModelError(
            f"the model {model!r} needs a key: set OPENAI_API_KEY (and OPENAI_BASE_URL for another "
            "OpenAI-compatible endpoint), or leave the model out to talk offline"
        )
    # A private server often needs no key, but the client insists on sending one.
    return _openai_model(model, temperature, base_url, key or "none")


@lru_cache(maxsize=32)
def _openai_model(
    name: str, temperature: float | None, base_url: str | None, key: str
) -> BaseChatModel:
    # Imported here: it takes about a second, and the offline backend does not need it.
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    return ChatOpenAI(
        model=name,
        temperature=temperature,
        base_url=base_url,
        api_key=SecretStr(key),
        timeout=TIMEOUT_SECONDS,
        max_retries=0,
    )


def _without_retries(model: BaseChatModel) -> BaseChatModel:
    """Return a copy of a langchain-openai model whose clients do not retry; others as they are.

    The copy shares the caller's connections. A client that the caller replaced is left alone.
    """
    clients = (("root_client", "client"), ("root_async_client", "async_client"))
    ours = {
        root: getattr(model, root).with_options(max_retries=0)
        for root, client in clients
        if (found := getattr(model, root, None)) is not None
        and getattr(model, client, None) is found.chat.completions
    }
    if not ours:
        return model
    chats = {client: ours[root].chat.completions for root, client in clients if root in ours}
    return model.model_copy(update={**ours, **chats, "max_retries": 0})


def speaks_openai(model: BaseChatModel) -> bool:
    """Return whether it is a langchain-openai model, which knows `response_format`."""
    return hasattr(model, "root_client")


def describe(model: BaseChatModel) -> str:
    """Return the model's name and address for an error message; never a key."""
    name = getattr(model, "model_name", None) or model._llm_type
    where = re.sub(r"//[^/@]*@", "//", getattr(model, "openai_api_base", None) or "")
    return f"the model {name!r}" + (f" at {where}" if where else "")
