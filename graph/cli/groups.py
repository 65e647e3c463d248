"""Groups of commands that read a command's name in a way of their own."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup

BEFORE = "train-"
"""What the commands of `cooper train` began with when they stood beside it."""


class MainGroup(TyperGroup):
    """`cooper`: tells the new name of a command that was moved into `cooper train`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names, or fail on a former name."""
        training = getattr(self.commands.get("train"), "commands", {})
        if args[0].startswith(BEFORE) and (name := args[0].removeprefix(BEFORE)) in training:
            ctx.fail(f"'{args[0]}' is 'cooper train {name}' now")
        return super().resolve_command(ctx, args)


class TrainGroup(TyperGroup):
    """`cooper train`: without the name of what is trained it is a ranker."""

    default_command: ClassVar[str] = "ranker"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add the default's name before options that no command's name precedes."""
        if args and args[0].startswith("-") and args[0] != "--help":
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)
