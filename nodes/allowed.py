"""What a run may choose where others pay for it: an operator's allow-list and limits."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.llm.budget import calls_of_turn
from langgraph_cooper.prompts import TaskSpec

MODELS, GOALS, LIMITS = "COOPER_MODELS", "COOPER_GOALS", "COOPER_LIMITS"
"""Environment variables: model names parted by commas, goals on a line each, and limits such as
`deadline=120` parted by commas."""

BUILT_IN = ("offline", "bank", "finetuned")
"""What needs no key is always allowed."""

BUDGETS = ("m", "k", "max_calls", "at_once", "deadline", "prompt_tokens")
"""Options that cost more the higher they are."""

SAFEGUARDS = ("strict_guard", "hold_reply")
"""Options of the safety guard that a run may switch on, not off."""


@dataclass(frozen=True)
class Allowed:
    """What a run's `context` may choose.

    A client of a server that chooses a model spends the operator's key on it, and one that writes a
    goal writes into every prompt. As soon as one of the three is given, a run may not switch off
    `strict_guard` or `hold_reply` either, nor take more than `limits`.

    Attributes:
        models: Names of chat models; None allows any. The built-in backends are always allowed.
        goals: Goals, word for word; None allows any.
        limits: The most that a run may take of `m`, `k`, `max_calls`, `at_once`, `deadline` and
            `prompt_tokens`. Of one that is not named: as much as a run without choices takes.

    Raises:
        InputError: A limit is no option that can be limited, or out of its range.
    """

    models: Collection[str] | None = None
    goals: Collection[str] | None = None
    limits: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.limits is None:
            return
        given = dict(self.limits)
        if others := [name for name in given if name not in BUDGETS]:
            raise InputError(
                f"the limit {others[0]!r} is not known: limit one of {', '.join(BUDGETS)}"
            )
        checked = CooperContext.model_validate(given)  # also reads numbers out of texts
        numbers = {name: getattr(checked, name) for name in given if given[name] is not None}
        object.__setattr__(self, "limits", numbers)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what `COOPER_MODELS`, `COOPER_GOALS` and `COOPER_LIMITS` allow.

        Raises:
            InputError: A limit cannot be used.
        """
        models, goals, limits = (environment.get(name) for name in (MODELS, GOALS, LIMITS))
        return cls(
            None if models is None else _parts(models.split(",")),
            None if goals is None else _parts(goals.splitlines()),
            None if limits is None else _limits(limits),
        )

    def check(self, context: CooperContext, task: TaskSpec) -> None:
        """Refuse a choice that is not allowed.

        Raises:
            InputError: A model or the goal is not on the list, a budget is above its limit, or a
                safeguard is switched off.
        """
        for option, names in self.choices().items():
            name = getattr(context, option)
            if option != "goal" and name and name not in names:
                raise InputError(
                    f"context names the {option} {name!r}, which is not allowed here: name one of "
                    f"{', '.join(names)}, or none"
                )
        if context.goal and self.goals is not None and context.goal not in self.goals:
            raise InputError(
                "context names a goal that is not allowed here: "
                + (f"name one of its {len(self.goals)}, or none" if self.goals else "name none")
            )
        if self._narrows:
            self._check_budgets(context, task)

    def _check_budgets(self, context: CooperContext, task: TaskSpec) -> None:
        for option in SAFEGUARDS:
            if getattr(context, option) is False:
                raise InputError(
                    f"context switches {option} off, which is not allowed here: leave it out"
                )
        for option, most in self.most(task).items():
            asked = getattr(context, option)
            if option in context.model_fields_set and asked is not None and asked > most:
                raise InputError(
                    f"context asks for {option} {asked:,.10g}, which is not allowed here: name "
                    f"at most {most:,.10g}, or none"
                )

    @property
    def _narrows(self) -> bool:
        return not (self.models is None and self.goals is None and self.limits is None)

    def most(self, task: TaskSpec) -> dict[str, float]:
        """Return the most that a run may take of each budget."""
        return {**_usual(task), **(self.limits or {})}

    def schema(self, task: TaskSpec) -> type[CooperContext]:
        """Return the options of a run, narrowed to what is allowed: Studio shows the choice."""
        if not self._narrows:
            return CooperContext
        allowed, most, usual = self, self.most(task), _usual(task)
        lowered = {option: value for option, value in most.items() if value < usual[option]}

        class Narrowed(CooperContext):
            model_config = ConfigDict(title=CooperContext.__name__)

            @model_validator(mode="before")
            @classmethod
            def _lower(cls, choices: Any) -> Any:
                """Give a run that names nothing no more than one that does."""
                if not isinstance(choices, dict):
                    return choices
                unnamed = {k: v for k, v in lowered.items() if choices.get(k) is None}
                return {**choices, **unnamed}

            @model_validator(mode="after")
            def _check(self) -> Self:
                allowed.check(self, task)
                return self

            @classmethod
            def __get_pydantic_json_schema__(
                cls, core: CoreSchema, handler: GetJsonSchemaHandler
            ) -> JsonSchemaValue:
                schema = handler.resolve_ref_schema(handler(core))
                options = schema["properties"]
                for option, names in allowed.choices().items():
                    options[option]["enum"] = [*names, None]
                for option in SAFEGUARDS:
                    options[option]["enum"] = [True, None]
                for option, value in most.items():
                    for part in options[option].get("anyOf", [options[option]]):
                        if "maximum" in part:
                            part["maximum"] = value
                return schema

        Narrowed.__doc__ = CooperContext.__doc__
        return Narrowed

    def choices(self) -> dict[str, list[str]]:
        """Return the values that each narrowed option may have."""
        found = {}
        if self.models is not None:
            spoken = [*self.models, *BUILT_IN]
            found = {"model": [*self.models, "offline"]}
            found |= {"generator_model": spoken, "generator": spoken}
        if self.goals is not None:
            found["goal"] = list(self.goals)
        return found


def _parts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _limits(text: str) -> dict[str, str]:
    """Read limits such as "deadline=120, max_calls=40"."""
    found = {}
    for part in _parts(text.split(",")):
        option, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            raise InputError(
                f"{LIMITS} has {part!r}: write it as option=number, as in deadline=120"
            )
        found[option] = value
    return found


def _usual(task: TaskSpec) -> dict[str, float]:
    """Return what a run takes that names nothing, as far as it is known before the run."""
    usual, agents = CooperContext(), len(task.aspects)
    return {
        "m": task.m,
        "k": task.k,
        "max_calls": calls_of_turn(agents),
        "at_once": agents,
        "deadline": usual.deadline,
        "prompt_tokens": usual.prompt_tokens,
    }
