"""A chat model for graph tests that recognises a module by its prompt and not by call order."""

from __future__ import annotations

import json
import threading
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr


class RoleModel(BaseChatModel):
    """Answers as tracker, promoter or generator; can hold trackers until all three are there."""

    meet: int = 0
    calls: list[str] = Field(default_factory=list)
    _barrier: threading.Barrier | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.meet:
            self._barrier = threading.Barrier(self.meet, timeout=60)

    @property
    def _llm_type(self) -> str:
        return "role-model"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        prompt = messages[0].text
        if "Summarise" in prompt:
            self.calls.append("tracker")
            if self._barrier:
                self._barrier.wait()
            text = "The seeker lost a job."
        elif "JSON alone" in prompt:
            self.calls.append("promoter")
            topics = [{"topic": f"Candidate number {i}", "strategy": ""} for i in range(9)]
            text = json.dumps({"candidates": topics})
        else:
            self.calls.append("generator")
            text = "That must be hard. What happened?"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])
