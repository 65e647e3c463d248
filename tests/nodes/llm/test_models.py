"""Chat models by name, from the environment."""

from __future__ import annotations

import re
from typing import Any

import pytest

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.llm.models import chat_model, describe
from langgraph_cooper.nodes.llm.quirks import habits_of
from tests.support.scripted import ScriptedModel


def test_a_model_object_is_given_back() -> None:
    model = ScriptedModel()
    assert chat_model(model, 0.5) is model


@pytest.mark.parametrize("empty", [None, ""])
def test_a_name_without_key_or_endpoint(empty: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if empty is not None:
        monkeypatch.setenv("OPENAI_API_KEY", empty)
        monkeypatch.setenv("OPENAI_BASE_URL", empty)
    with pytest.raises(ModelError, match="'some-model' needs a key: set OPENAI_API_KEY"):
        chat_model("some-model")


@pytest.mark.parametrize("key", ["schlüssel", "sk-one\nsk-two"])
def test_a_key_that_cannot_be_sent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(
        ModelError, match=r"OPENAI_API_KEY has a character .* copy the key"
    ) as caught:
        chat_model("some-model")
    assert key[:4] not in str(caught.value)


def test_an_endpoint_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    model: Any = chat_model("some-model", 0.25)
    assert model.model_name == "some-model"
    assert model.temperature == 0.25
    assert model.openai_api_base == "http://127.0.0.1:9/v1"
    assert model.request_timeout is None  # each request has what is left of the turn


def test_a_changed_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    first: Any = chat_model("some-model")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    second: Any = chat_model("some-model")
    assert first.openai_api_key.get_secret_value() == "sk-one"
    assert second.openai_api_key.get_secret_value() == "sk-two"
    assert "sk-two" not in repr(second)


def test_description_tells_name_and_place_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://someone:sesame@127.0.0.1:9/v1")
    assert describe(chat_model("some-model")) == "the model 'some-model' at http://127.0.0.1:9/v1"
    assert describe(ScriptedModel()) == "the model 'scripted'"


def test_a_name_may_have_langchains_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    for name in ("gpt-4o-mini", "openai:gpt-4o-mini"):
        model: Any = chat_model(name)
        assert model.model_name == "gpt-4o-mini"
    for name in ("llama3:8b", "ft:gpt-4o:org::id", "mistral:7b", "anthropic/claude"):
        model = chat_model(name)
        assert model.model_name == name


@pytest.mark.parametrize("name", ["anthropic:claude-sonnet", "google-genai:g", "ollama:llama3:8b"])
def test_another_providers_name_is_one_clear_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    told = re.escape(f"pass a chat model object in its place, as init_chat_model({name!r})")
    with pytest.raises(ModelError, match=told):
        chat_model(name)
    with pytest.raises(ModelError, match=told):
        create_cooper("esc", model=name)
    with pytest.raises(ModelError, match="'openai:' names no model"):
        chat_model("openai:")


class Local(ScriptedModel):
    """Another package's model."""

    model: str = ""
    base_url: str | None = None


def test_models_of_other_packages_are_told_apart() -> None:
    here = "http://127.0.0.1:9"
    given = [("a", here), ("b", here), ("a", "http://127.0.0.1:8"), ("a", None)]
    models = [ScriptedModel(), *(Local(model=name, base_url=url) for name, url in given)]
    known = [habits_of(model) for model in models]
    assert len(set(map(id, known))) == len(models)
    assert habits_of(Local(model="a", base_url=f"{here}/")) is known[1]
