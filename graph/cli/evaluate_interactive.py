"""`cooper evaluate interactive`: systems talk with simulated users about real problems."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import tracked_states
from langgraph_cooper.graph.cli.options import AsJson, Deadline, MaxCalls, Task, names_of
from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.graph.cli.terminal import PlainConsole, tell
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    import httpx

    from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
    from langgraph_cooper.graph.evaluation.interactive.run import Interactive
    from langgraph_cooper.graph.evaluation.interactive.systems import Model
    from langgraph_cooper.graph.evaluation.interactive.users import User
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.nodes.finetuned.users import Manner
    from langgraph_cooper.ranker.data.dialogue import Dialogue
    from langgraph_cooper.ranker.data.roles import Role


def interactive(
    roles: Annotated[Path, typer.Option(help="Dialogues, raw or annotated, or JSONL of roles.")],
    output: Annotated[Path, typer.Option(help="The file of the conversations; a run goes on.")],
    systems: Annotated[
        list[str],
        typer.Option(
            help="bank, finetuned, prompted, plain, cot, mixinit by commas; or "
            "[NAME=]endpoint:URL#MODEL, [NAME=]command:PROGRAM. May be repeated."
        ),
    ],
    user: Annotated[
        str, typer.Option(help="trained, a chat model's name, or endpoint:URL#MODEL.")
    ] = "trained",
    task: Task = "esc",
    user_adapter: Annotated[
        Path | None, typer.Option(help="The folder of the trained user.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The chat model of prompted, plain, cot and mixinit.")
    ] = None,
    manners: Annotated[
        str, typer.Option(help="How each role is played.")
    ] = "cooperative,reserved,resistant",
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="The user's utterances, at most.")
    ] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Play the first N roles.")] = None,
    seed: Annotated[
        int, typer.Option(help="Of what is drawn, as far as the samplers take one.")
    ] = 1,
    at_once: Annotated[int, typer.Option(min=1, max=100, help="Conversations at a time.")] = 2,
    deadline: Deadline = 300,
    max_calls: MaxCalls = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the estimate.")] = False,
    json: AsJson = False,
) -> None:
    """Hold conversations of systems with simulated users, in pairs about the same problem."""
    from langgraph_cooper.graph.evaluation.interactive.run import summary
    from langgraph_cooper.graph.evaluation.interactive.systems import check_speakers, named_specs
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.data.roles import read_roles

    spec = load_task(task)
    named, played = named_specs(systems), _manners(manners)
    limits = CooperContext(deadline=deadline, max_calls=max_calls)
    found = read_roles(roles, spec, lambda bare: _tracked(spec, bare, limit))[:limit]
    typer.echo(f"{roles}: {len(found):,} roles", err=True)
    if not dry_run:
        check_speakers(named.values(), spec)

    async def run() -> tuple[list[Conversation], int]:
        async with AsyncExitStack() as stack:
            made = await _made(
                stack, spec, found, played, named, user=user, user_adapter=user_adapter,
                model=model, rounds=rounds, seed=seed, limits=limits,
            )  # fmt: skip
            held = await _hold(made, output, at_once=at_once, dry_run=dry_run)
            return held, len(made.plan())

    held, planned = asyncio.run(run())
    told = summary(held, planned)
    if json:
        typer.echo(jsonlib.dumps(told))
    elif not dry_run:
        _show(told)
    if held and not dry_run and all(row.ended.by == "fault" for row in held):
        raise typer.Exit(1)  # one fault is a result of its system, faults alone are none


async def _hold(
    run: Interactive, output: Path, *, at_once: int, dry_run: bool
) -> list[Conversation]:
    from langgraph_cooper.graph.evaluation.interactive.run import Held

    held = Held(run, output)
    done = len(run.plan()) - len(held.waiting)
    typer.echo(run.cost(held.waiting).sentence(done), err=True)
    if held.again:
        typer.echo(f"{held.again:,} of them had ended in a fault and are held again", err=True)
    if not dry_run and held.waiting:
        with progress_bar("holding") as progress:
            job = progress.add_task("conversations", total=len(held.waiting))
            await held.hold(at_once=at_once, done=lambda n: progress.advance(job, n))
    return held.rows()


async def _made(
    stack: AsyncExitStack,
    task: TaskSpec,
    roles: Sequence[Role],
    manners: Sequence[Manner],
    named: Mapping[str, str],
    *,
    user: str,
    user_adapter: Path | None,
    model: str | None,
    rounds: int,
    seed: int,
    limits: CooperContext,
) -> Interactive:
    """Set up systems and user; what cannot be is said before the first conversation."""
    from langgraph_cooper.graph.evaluation.interactive.recording import ENDPOINT, RecordingClient
    from langgraph_cooper.graph.evaluation.interactive.run import Interactive
    from langgraph_cooper.graph.evaluation.interactive.systems import (
        make_system,
        needs_model,
        record_of_models,
    )

    client = await stack.enter_async_context(RecordingClient(timeout=None))
    models: dict[str, Model] = {}
    for name, spec in named.items():
        asked = spec if spec.startswith(ENDPOINT) else model if needs_model(spec) else None
        if asked:
            models[name] = _model(asked, client)
    made = [make_system(name, spec, task, models.get(name), limits) for name, spec in named.items()]
    return Interactive(
        task=task, roles=roles, manners=manners, systems=made,
        user=_user(task, user, user_adapter, client, limits), rounds=rounds, seed=seed,
        limits=limits.model_dump(exclude_defaults=True), models=record_of_models(models),
    )  # fmt: skip


def _model(spec: str, client: httpx.AsyncClient) -> Model:
    from langgraph_cooper.graph.evaluation.interactive.recording import model_at, recorded
    from langgraph_cooper.graph.evaluation.interactive.systems import Model

    found = model_at(spec)
    return Model(recorded(spec, found, client), found)


def _user(
    task: TaskSpec,
    user: str,
    adapter: Path | None,
    client: httpx.AsyncClient,
    limits: CooperContext,
) -> User:
    from langgraph_cooper.graph.evaluation.interactive.users import (
        TRAINED,
        PromptedUser,
        trained_user,
    )

    if user == TRAINED:
        return trained_user(task, adapter)
    found = _model(user, client)
    return PromptedUser(task, found.chat, found.at.identity, limits)


def _manners(given: str) -> list[Manner]:
    from langgraph_cooper.nodes.finetuned.users import MANNERS

    named = names_of(given)
    unknown = [name for name in named if name not in MANNERS]
    if unknown or not named:
        known = ", ".join(MANNERS)
        raise typer.BadParameter(f"--manners: choose from {known}, not {(unknown or [given])[0]!r}")
    return [manner for manner in MANNERS if manner in named]


def _tracked(task: TaskSpec, dialogues: Sequence[Dialogue], limit: int | None) -> dict[str, str]:
    """Let the trackers say what is the matter, until there are enough roles; tell who has none."""
    found: dict[str, str] = {}
    waiting, enough = [*dialogues], limit or len(dialogues)
    while waiting and (missing := enough - sum(map(bool, found.values()))) > 0:
        some, waiting = waiting[:missing], waiting[missing:]
        with TemporaryDirectory() as folder:
            told = tracked_states(task, some, Path(folder) / "roles.jsonl")
        found |= {each.id: told.get(each.id, "").strip() for each in some}
    if silent := [name for name, text in found.items() if not text]:
        tell(
            f"{len(silent):,} dialogues give no role, since the trackers found nothing in them, "
            f"such as {silent[0]}",
            err=True,
        )
    return found


def _show(told: Mapping[str, Any]) -> None:
    table = Table("system", "conversations", "comparable", "rounds", "how they ended")
    for name, found in told["systems"].items():
        ends = "; ".join(f"{how} {number}" for how, number in found["ended"].items())
        table.add_row(
            name, str(found["conversations"]), str(found["whole"]), f"{found['rounds']:g}", ends
        )
    PlainConsole().print(table)
    for how, sentence in told["faults"].items():
        tell(f"{how}: {sentence}", err=True)
    if told["faults"]:
        typer.echo(
            "what ended in a fault is compared with nothing; the same command holds it again",
            err=True,
        )
