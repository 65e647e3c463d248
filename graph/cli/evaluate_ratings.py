"""`cooper evaluate rate` and `ratings`: people compare conversations; what they say together."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.options import AsJson
from langgraph_cooper.graph.cli.serve import check_installed
from langgraph_cooper.graph.cli.talks import keep_input, task_of, tell_missing
from langgraph_cooper.graph.cli.terminal import PlainConsole, tell

Conversations = Annotated[
    Path, typer.Argument(help="Conversations that 'cooper evaluate interactive' wrote.")
]


def rate(
    conversations: Conversations,
    data: Annotated[
        Path | None, typer.Option(help="The file of the ratings; none: FILE.rated.jsonl beside it.")
    ] = None,
    rater: Annotated[
        str | None, typer.Option(help="The only rater; none: the page asks for a name.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Your own task's file or folder; none: as FILE says.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Rate N pairs, the same for all raters.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of pairs and sides.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = (
        8008
    ),
    host: Annotated[
        str, typer.Option(help="The address; nobody is asked for a password.")
    ] = "127.0.0.1",
) -> None:
    """Serve a page on which people compare pairs of conversations, blind."""
    check_installed()
    from langgraph_cooper.graph.evaluation.rating.app import create_app
    from langgraph_cooper.graph.evaluation.rating.ratings import Ratings, asked_of, rater_name
    from langgraph_cooper.graph.evaluation.rating.rows import read_pairs
    from langgraph_cooper.graph.evaluation.rating.serve import listen, serve
    from langgraph_cooper.graph.server.serve import is_loopback

    name = rater_name(rater) if rater is not None else None
    pairs = read_pairs(conversations)
    tell_missing(conversations, pairs.held)
    spec = task_of(pairs.task, task)
    file = data or conversations.with_name(f"{conversations.stem}.rated.jsonl")
    ratings = Ratings(pairs, asked_of(spec), file, seed=seed, limit=limit)
    local = is_loopback(host)
    listening = listen(host, port)
    app = create_app(ratings, spec, rater=name, local=local)
    if pairs.left_out:
        typer.echo(
            f"{pairs.left_out:,} pairs are left out: they lack a conversation, or end in a fault",
            err=True,
        )
    if not local:
        typer.echo(
            f"warning: anybody who reaches {host} can read the conversations and rate under any "
            "name",
            err=True,
        )
    told = f"{len(ratings.pairs):,} pairs, ratings in {file}; Ctrl+C ends it"
    serve(app, listening, lambda url: typer.echo(f"rate on {url} ({told})", err=True))


def ratings(
    rated: Annotated[Path, typer.Argument(help="Ratings that 'cooper evaluate rate' wrote.")],
    conversations: Annotated[Path, typer.Option(help="The conversations that were rated.")],
    output: Annotated[
        Path | None,
        typer.Option(help="A file for 'cooper evaluate judge --calibrate', with all ratings."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Count wins per dimension with exact tests, and how far raters agree."""
    from langgraph_cooper.graph.evaluation.rating.report import rating_report
    from langgraph_cooper.graph.evaluation.rating.rows import read_pairs, read_ratings
    from langgraph_cooper.graph.evaluation.rating.together import rated_together, write_rated

    keep_input(output, "--output", [rated, conversations])
    check_installed("krippendorff", "nltk", extra="train")
    pairs = read_pairs(conversations)
    tell_missing(conversations, pairs.held)
    questions, found = read_ratings(rated, pairs)
    report = rating_report(pairs, found, questions)
    if output:
        write_rated(rated_together(pairs, found, questions), output)
        typer.echo(f"wrote {output}", err=True)
    if json:
        typer.echo(jsonlib.dumps(report))
    else:
        _show(report)


def _show(report: Mapping[str, Any]) -> None:
    console = PlainConsole()
    typer.echo(
        f"{report['rated']:,} of {report['pairs']:,} pairs rated, {report['ratings']:,} ratings"
    )
    for each in report["compared"]:
        console.print(_compared(each))
    console.print(_agreement(report["agreement"]))
    console.print(_raters(report["raters"]))
    for name, found in report["raters"].items():
        if found["always"]:
            tell(
                f"{name} always chose {found['always']}: look at these ratings, and leave them out "
                "if nobody read",
                err=True,
            )


def _compared(compared: Mapping[str, Any]) -> Table:
    columns = ("wins", "ties", "losses", "share", "95 % interval", "p", "p (Holm)")
    table = Table("dimension", *columns, title=" against ".join(compared["systems"]))
    for name, row in compared["dimensions"].items():
        interval = " to ".join(f"{end:.2f}" for end in row["interval"] or ())
        counts = (str(row[count]) for count in ("wins", "ties", "losses"))
        tests = (f"{row['p']:.3g}", f"{row['p_holm']:.3g}")
        table.add_row(name, *counts, _number(row["share"]), interval, *tests)
    return table


def _agreement(agreement: Mapping[str, Any]) -> Table:
    table = Table("agreement", "Fleiss' kappa", "pairs", "Krippendorff's alpha", "pairs")
    for name, found in agreement.items():
        table.add_row(
            name,
            _number(found["fleiss_kappa"]),
            str(found["pairs_of_all_raters"]),
            _number(found["krippendorff_alpha"]),
            str(found["pairs_of_several_raters"]),
        )
    return table


def _raters(raters: Mapping[str, Any]) -> Table:
    table = Table("rater", "pairs", "left", "tie", "right", "p of left")
    for name, found in raters.items():
        counts = (str(found["overall"][answer]) for answer in ("left", "tie", "right"))
        table.add_row(name, str(found["pairs"]), *counts, f"{found['p_left']:.3g}")
    return table


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"
