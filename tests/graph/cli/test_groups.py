"""The names of commands: `cooper train` and its models, and names of before."""

from __future__ import annotations

import pytest

from tests.support.commands import Cooper

MODELS = ("ranker", "generator", "answers", "claims", "context", "decisions", "guard", "relevance")


@pytest.mark.parametrize("name", MODELS)
def test_train_has_each_model(cooper: Cooper, name: str) -> None:
    done = cooper("train", name, "--help")
    assert done.code == 0
    assert f"train {name}" in done.out


def test_train_without_a_name_is_of_a_ranker(cooper: Cooper) -> None:
    done = cooper("train", "--task", "esc")
    assert done.code == 2
    assert "train ranker" in done.err


def test_an_unknown_model_is_no_ranker(cooper: Cooper) -> None:
    done = cooper("train", "gard")
    assert done.code == 2
    assert "'gard'" in done.err
    assert "'guard'" in done.err


@pytest.mark.parametrize("name", MODELS[2:])
def test_a_name_of_before_tells_the_new_one(cooper: Cooper, name: str) -> None:
    done = cooper(f"train-{name}", "--output", "model")
    assert done.code == 2
    assert f"cooper train {name}" in done.err
