"""Sets up chat models from a name and the environment, or from the caller's model."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding
from pydantic import SecretStr

from langgraph_cooper.nodes.errors import ModelError

PROBE_SECONDS = 1.0  # to ask a server how many slots it has
# Under one of these names every package's models keep a cap of their own.
CAPS = ("max_tokens", "max_output_tokens", "max_new_tokens", "num_predict")
# Under one of these names packages keep the address of an endpoint, besides `base_url`.
BASE_URLS = ("openai_api_base", "endpoint_url", "anthropic_api_url")


OPENAI = "openai:"
# Prefixes by which LangChain's `init_chat_model` tells providers apart. Names with a tag, such as
# Ollama's "llama3:8b", begin with none of them.
OTHER_PROVIDERS = frozenset(
    [
        "anthropic", "anthropic_bedrock", "azure_ai", "azure_openai", "baseten", "bedrock",
        "bedrock_converse", "cohere", "deepseek", "fireworks", "google_anthropic_vertex",
        "google_genai", "google_vertexai", "groq", "huggingface", "ibm", "litellm", "mistralai",
        "nvidia", "ollama", "openrouter", "perplexity", "together", "upstage", "xai",
    ]
)  # fmt: skip
KEY, ADDRESS = "OPENAI_API_KEY", "OPENAI_BASE_URL"

# The models that were set up from a name and the environment, by their ids.
_named: WeakValueDictionary[int, BaseChatModel] = WeakValueDictionary()


def bare_name(name: str) -> str:
    """Return a model's name at its endpoint: "openai:gpt-4o-mini" is LangChain's form of it.

    Raises:
        ModelError: The name is that of another provider's model.
    """
    bare = name.removeprefix(OPENAI).strip()
    provider = name.partition(":")[0].replace("-", "_").lower()
    if not bare:
        raise ModelError(f"{name!r} names no model: write its name after the colon")
    if ":" in name and provider in OTHER_PROVIDERS:
        raise ModelError(
            f"{name!r} is no model of an OpenAI-compatible endpoint: pass a chat model object in "
            f"its place, as init_chat_model({name!r}) of langchain.chat_models returns it"
        )
    return bare


def chat_model(model: str | BaseChatModel, temperature: float | None = None) -> BaseChatModel:
    """Return the langchain-openai model of a name, or the given model without its retries.

    No langchain-openai model retries by itself: two layers of retries would multiply.

    Args:
        model: A name that the endpoint knows (OPENAI_BASE_URL, by default OpenAI's own), with or
            without LangChain's prefix "openai:", or a chat model, which keeps its other settings.
        temperature: Sampling temperature; None leaves it to the endpoint.

    Raises:
        ModelError: The name is another provider's, or there is no key for OpenAI's own endpoint.
    """
    if not isinstance(model, str):
        return _without_retries(model)
    base_url, key = endpoint_of(model)
    return _openai_model(bare_name(model), temperature, base_url, key)


def endpoint_of(model: str) -> tuple[str | None, str]:
    """Return the address (None: OpenAI's own) and the key that the environment has for a name.

    Raises:
        ModelError: The name is another provider's, the address is none, there is no key for
            OpenAI's own endpoint, or the key is none that can be sent.
    """
    bare_name(model)
    base_url = os.environ.get(ADDRESS) or None
    key = os.environ.get(KEY) or None
    if base_url and not base_url.startswith(("http://", "https://")):
        raise ModelError(
            f"OPENAI_BASE_URL is {base_url!r}, which is not a web address: write http://{base_url}"
        )
    if key is None and base_url is None:
        raise ModelError(
            f"the model {model!r} needs a key: set OPENAI_API_KEY (and OPENAI_BASE_URL for another "
            "OpenAI-compatible endpoint), or leave the model out to talk offline"
        )
    if key and not (key.isascii() and key.isprintable()):
        raise ModelError(
            "OPENAI_API_KEY has a character that no key has, such as a letter with an accent or a "
            "line break: copy the key again"
        )
    # A private server often needs no key, but the client insists on sending one.
    return base_url, key or "none"


@lru_cache(maxsize=32)
def _openai_model(
    name: str, temperature: float | None, base_url: str | None, key: str
) -> BaseChatModel:
    model = openai_model(name, temperature, base_url, key)
    _named[id(model)] = model
    return model


def openai_model(
    name: str, temperature: float | None, base_url: str | None, key: str, **clients: Any
) -> BaseChatModel:
    """Return a langchain-openai model that does not retry.

    Args:
        name: Its name at the endpoint.
        temperature: Sampling temperature; None leaves it to the endpoint.
        base_url: The endpoint; None: OpenAI's own.
        key: The key.
        clients: `http_client` and `http_async_client`, in place of those that a forked child
            does not share, or that end with an event loop.
    """
    # Imported here: it takes about a second, and the offline backend does not need it.
    from langchain_openai import ChatOpenAI

    from langgraph_cooper.nodes.llm.connections import loop_client, process_client

    shared = {"http_client": process_client(), "http_async_client": loop_client()}
    return ChatOpenAI(
        model=name,
        temperature=temperature,
        base_url=base_url,
        api_key=SecretStr(key),
        max_retries=0,
        **{**shared, **clients},
    )


def _without_retries(model: BaseChatModel) -> BaseChatModel:
    """Return a copy of a langchain-openai model whose clients do not retry; others as they are.

    The copy shares the connections that the caller set up. Where there are none, those of an event
    loop end with it, and a forked child has its own. A client that the caller replaced is left
    alone.
    """
    clients = (("root_client", "client"), ("root_async_client", "async_client"))
    ours = {
        root: getattr(model, root).with_options(max_retries=0, **_connections(model, root))
        for root, client in clients
        if (found := getattr(model, root, None)) is not None
        and getattr(model, client, None) is found.chat.completions
    }
    if not ours:
        return model
    chats = {client: ours[root].chat.completions for root, client in clients if root in ours}
    return model.model_copy(update={**ours, **chats, "max_retries": 0})


def _connections(model: BaseChatModel, root: str) -> dict[str, Any]:
    """Return the HTTP client for one of a model's clients, if its caller set none up."""
    from langgraph_cooper.nodes.llm.connections import loop_client, process_client

    waits = root == "root_async_client"
    chosen = ("http_async_client" if waits else "http_client", "http_socket_options")
    if any(getattr(model, name, None) for name in chosen):
        return {}
    return {"http_client": loop_client() if waits else process_client()}


def speaks_openai(model: BaseChatModel) -> bool:
    """Return whether it is a langchain-openai model, which knows `response_format`."""
    return hasattr(model, "root_client")


def at_openai(model: BaseChatModel) -> bool:
    """Return whether a langchain-openai model's endpoint is OpenAI's own, or Azure's."""
    url = getattr(getattr(model, "root_client", None), "base_url", None)
    return url is not None and str(url.host).endswith(("openai.com", "azure.com"))


def key_of(model: BaseChatModel) -> str:
    """Return where a model's key comes from, for an error: the variable, or the model itself."""
    if id(model) in _named:
        return KEY
    secret = getattr(model, "openai_api_key", None)
    given = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    return KEY if given in (None, os.environ.get(KEY)) else "its api_key"


def address_of(model: BaseChatModel) -> str:
    """Return where a model's address comes from, for an error. See `key_of`."""
    given = id(model) not in _named and getattr(model, "openai_api_base", None)
    return "its base_url" if given else ADDRESS


def has_cap(model: BaseChatModel) -> bool:
    """Return whether a model has a cap of its caller's on its answers."""
    given = {**(getattr(model, "model_kwargs", {})), **(getattr(model, "extra_body", None) or {})}
    caps = (*CAPS, "max_completion_tokens")
    return any(getattr(model, name, None) is not None or name in given for name in caps)


def capped_model(model: Runnable[Any, Any], tokens: int) -> Runnable[Any, Any]:
    """Return another package's model with a cap on its answer, if it has a field for that."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": capped_model(model.bound, tokens)})
    unset = [name for name in CAPS if getattr(model, name, 0) is None]
    if not unset or not isinstance(model, BaseChatModel):
        return model
    return model.model_copy(update={unset[0]: tokens})


def without_temperature(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """Return a langchain-openai model that leaves its temperature to the endpoint."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": without_temperature(model.bound)})
    if not isinstance(model, BaseChatModel):
        return model
    return model.model_copy(update={"temperature": None})


def identity(model: BaseChatModel) -> tuple[type[BaseChatModel], str, str]:
    """Return what tells a model at its endpoint from others: class, name and base URL."""
    settings = ("model_name", "model", "model_id")
    name = next((str(found) for key in settings if (found := getattr(model, key, None))), "")
    # The client's own URL also holds a default from the environment.
    places = (getattr(model, "root_client", None), model)
    urls = [getattr(place, key, None) for place in places for key in ("base_url", *BASE_URLS)]
    return type(model), name, next((str(url).rstrip("/") for url in urls if url), "")


def name_of(model: BaseChatModel) -> str:
    """Return a model's name, or its kind where it has none."""
    return identity(model)[1] or model._llm_type


def total_slots(model: BaseChatModel) -> int | None:
    """Ask a server how many requests it works on at the same time.

    Only llama.cpp's server tells: `total_slots` of its `/props`, beside `/v1`.

    Returns:
        The number; None if the server does not say.

    Raises:
        openai.APIConnectionError: There is no server (yet).
    """
    import openai

    client = getattr(model, "root_client", None)
    if client is None or at_openai(model):
        return None
    quick = client.with_options(timeout=PROBE_SECONDS, max_retries=0)
    try:
        told = quick.get(str(client.base_url.join("/props")), cast_to=object)
    except openai.APITimeoutError:
        return None
    except openai.APIConnectionError:
        raise
    except (openai.OpenAIError, ValueError):  # no such page, or one for people
        return None
    slots = told.get("total_slots") if isinstance(told, dict) else None
    return slots if isinstance(slots, int) and slots > 0 else None


def describe(model: BaseChatModel) -> str:
    """Return the model's name and address for an error message; never a key."""
    where = re.sub(r"//[^/@]*@", "//", getattr(model, "openai_api_base", None) or "")
    return f"the model {name_of(model)!r}" + (f" at {where}" if where else "")
