"""The LLM backend, over any OpenAI-compatible endpoint or any LangChain chat model."""

from langgraph_cooper.nodes.llm.backend import llm_generator, llm_promoter, llm_tracker
from langgraph_cooper.nodes.llm.models import chat_model

__all__ = ["chat_model", "llm_generator", "llm_promoter", "llm_tracker"]
