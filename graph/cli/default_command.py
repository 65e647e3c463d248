"""A group of commands of which one needs no name."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class TrainGroup(TyperGroup):
    """`cooper train`: without the name of what is trained it is a ranker."""

    default_command: ClassVar[str] = "ranker"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add the default's name before options that no command's name precedes."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)
