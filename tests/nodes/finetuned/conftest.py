from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
from tests.support.voices import tiny_voice

Make = Callable[..., VoiceCheckpoint]


@pytest.fixture(scope="session")
def make_voice(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make the checkpoint of a tiny generator."""

    def make(*args: Any, **options: Any) -> VoiceCheckpoint:
        return tiny_voice(tmp_path_factory.mktemp("voice"), *args, **options)

    return make
