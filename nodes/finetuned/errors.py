"""The errors of the fine-tuned generator."""

from __future__ import annotations

from langgraph_cooper.prompts import CooperError


class VoiceError(CooperError):
    """The fine-tuned generator cannot be set up: a base, an adapter or the cache is unusable."""


class VoiceMissing(VoiceError):  # noqa: N818
    """A package of the extra `voice`, or the base model's, is not installed."""
