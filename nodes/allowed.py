"""What a run may choose by name where others pay for it: an operator's allow-list."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError

MODELS, GOALS = "COOPER_MODELS", "COOPER_GOALS"
"""Environment variables: model names parted by commas, and goals on a line each."""

BUILT_IN = ("offline", "bank", "finetuned")
"""What needs no key is always allowed."""


@dataclass(frozen=True)
class Allowed:
    """The models and goals that a run's `context` may name.

    A client of a server that chooses a model spends the operator's key on it, and one that writes a
    goal writes into every prompt.

    Attributes:
        models: Names of chat models; None allows any. The built-in backends are always allowed.
        goals: Goals, word for word; None allows any.
    """

    models: Collection[str] | None = None
    goals: Collection[str] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what `COOPER_MODELS` and `COOPER_GOALS` allow: all where one is not set."""
        models, goals = environment.get(MODELS), environment.get(GOALS)
        return cls(
            None if models is None else _parts(models.split(",")),
            None if goals is None else _parts(goals.splitlines()),
        )

    def check(self, context: CooperContext) -> None:
        """Refuse a choice that is not allowed.

        Raises:
            InputError: A model or the goal is not on the list.
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

    def schema(self) -> type[CooperContext]:
        """Return the options of a run, narrowed to the list: Studio shows a choice of names."""
        if self.models is None and self.goals is None:
            return CooperContext
        allowed = self

        class Narrowed(CooperContext):
            model_config = ConfigDict(title=CooperContext.__name__)

            @model_validator(mode="after")
            def _check(self) -> Self:
                allowed.check(self)
                return self

            @classmethod
            def __get_pydantic_json_schema__(
                cls, core: CoreSchema, handler: GetJsonSchemaHandler
            ) -> JsonSchemaValue:
                schema = handler.resolve_ref_schema(handler(core))
                for option, names in allowed.choices().items():
                    schema["properties"][option]["enum"] = [*names, None]
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
