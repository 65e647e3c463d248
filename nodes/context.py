"""The choices of one run, passed through LangGraph's `context`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Self

from langgraph.runtime import get_runtime
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts.errors import a_kind

LANGGRAPHS_OWN = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})
"""Keys of LangGraph's `configurable`. Hosts such as AG-UI's adapter give all of it as context."""

NESTED = "|"  # separates the levels in the checkpoint namespace of a nested graph


class CooperContext(BaseModel):
    """Choices for one run; each defaults to what the graph was built with.

    Raises:
        InputError: A choice is unknown or out of its range; names each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None,
        description="Chat model of the agents and the generator: a name that the OpenAI-compatible "
        'endpoint knows, or "offline" for the built-in backend.',
    )
    generator_model: str | None = Field(
        default=None, description="Another chat model for the generator alone."
    )
    generator: str | None = Field(
        default=None,
        min_length=1,
        description='What speaks: "bank", "finetuned", or a chat model\'s name. It goes before '
        "`generator_model`.",
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature of a model chosen by name."
    )
    m: int | None = Field(default=None, ge=1, le=20, description="Topic candidates per aspect.")
    k: int | None = Field(
        default=None, ge=1, le=20, description="Top-ranked candidates that guide the reply (K)."
    )
    coordination: Literal["off", "calibrated", "turns"] | None = Field(
        default=None,
        description='"calibrated": over a conversation the aspects of the first choices follow '
        'what people take up; "off": the ranker\'s order alone; "turns": the agents take '
        "turns, and nothing is ranked. If omitted, the calibration's own choice.",
    )
    strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Strength of calibrated coordination; if omitted, the calibration's own. "
        "Not with another coordination.",
    )
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2}$",
        description="Whose help lines the safety guard names: an ISO 3166 code such as US or GB.",
    )
    hold_reply: bool | None = Field(
        default=None,
        description="In a guarded task: whether a language model's words are held back until the "
        "whole reply was checked. If left out, the task decides.",
    )
    review: bool = Field(
        default=False,
        description="In a guarded task: interrupt for a person's decision after the guard's text.",
    )
    strict_guard: bool | None = Field(
        default=None,
        description="In a guarded task: whether only a person can lift the guard after it fired; "
        "otherwise the user may say that they are safe. If left out, the task decides; `review` "
        "implies it.",
    )
    goal: str | None = Field(
        default=None, min_length=1, max_length=600, description="A goal in place of the task's."
    )
    deadline: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Seconds for all of a turn's model calls together, retries and waits included; "
        "what is loaded or computed here takes none of them.",
    )
    max_calls: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Model calls of a turn, retries and repairs included. If omitted, four times "
        "what a turn without faults takes.",
    )

    at_once: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Requests of a turn that may be under way at the same time: 1 for a local "
        "server with one slot. If omitted, as many as the server says it has slots, or as there "
        "are agents.",
    )

    prompt_tokens: int = Field(
        default=3_000,
        ge=1_000,
        le=10_000_000,
        description="Tokens of a prompt, counted approximately. The oldest part of the dialogue is "
        "left out where it would be longer.",
    )

    @model_validator(mode="after")
    def _strength_of_something(self) -> Self:
        if self.strength is not None and self.coordination in ("off", "turns"):
            raise ValueError(
                f"strength is that of calibrated coordination, not of {self.coordination!r}: leave "
                "one of them out"
            )
        return self

    # LangGraph builds the context: a pydantic error would come out of the middle of LangGraph.
    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, choices: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(choices, dict):
            choices = {k: v for k, v in choices.items() if k not in LANGGRAPHS_OWN}
        try:
            return handler(choices)
        except ValidationError as error:
            found = "; ".join(
                f"{'.'.join(str(key) for key in fault['loc']) or 'all of it'}: {fault['msg']}"
                for fault in error.errors()
            )
            raise InputError(
                f"context cannot be used ({found}); it may have {', '.join(cls.model_fields)}"
            ) from None


def check_context() -> None:
    """Refuse a context that is no `CooperContext`, unless it is another graph's own.

    LangGraph builds one from a dict and hands anything else on as it is.

    Raises:
        InputError: It is something else.
    """
    runtime = get_runtime(CooperContext)
    context: object = runtime.context
    info = runtime.execution_info
    nested = info is None or NESTED in info.checkpoint_ns
    if not (nested or context is None or isinstance(context, CooperContext)):
        raise InputError(
            f"context is {a_kind(context)}: pass a CooperContext, or its options as a dict"
        )


def current_context() -> CooperContext:
    """Return the context of the current run, or the defaults if the caller gave none.

    A graph that is a node of another gets the other's context. Of one that is the other's own, its
    `cooper` counts, an attribute or a key that holds a `CooperContext` or its options.

    Raises:
        InputError: These are none.
    """
    context: object = getattr(get_runtime(CooperContext), "context", None)
    if not isinstance(context, CooperContext):
        of = context.get if isinstance(context, Mapping) else partial(getattr, context)
        context = of("cooper", None)
    if isinstance(context, CooperContext):
        return context
    if isinstance(context, Mapping):
        return CooperContext.model_validate(dict(context))
    if context is not None:
        raise InputError(
            f"the context's 'cooper' is {a_kind(context)}: give it a CooperContext, or "
            "its options as a dict"
        )
    return CooperContext()
