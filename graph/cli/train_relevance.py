"""`cooper train relevance`: from conversations to the model that tells which reply answers them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.holding_out import make_folder
from langgraph_cooper.graph.cli.options import Task
from langgraph_cooper.prompts import load_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langgraph_cooper.graph.training.relevance import Pool
    from langgraph_cooper.nodes.finetuned.relevance import Embed
    from langgraph_cooper.ranker.data.dialogue import Dialogue

KEPT = 10  # one conversation in so many decides which epoch is kept
MIX = (3, 3, 1)  # replies of other conversations, of the same one, and generic ones, that make 8


def train_relevance(
    data: Annotated[Path, typer.Option(help="Conversations to learn from.")],
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    task: Task = "esc",
    valid: Annotated[
        Path | None, typer.Option(help="Conversations that the model is measured on at the end.")
    ] = None,
    valid_ids: Annotated[
        Path | None,
        typer.Option(help="Measure on those of --data that are in this file, and learn from none."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="A folder that keeps the embeddings for the next run.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Most passes over the turns.", min=1)] = 12,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
) -> None:
    """Train the model that tells how well a reply answers what was said."""
    from langgraph_cooper.graph.training.relevance import (
        PoolMaker,
        figures,
        train_relevance,
        write_relevance,
    )
    from langgraph_cooper.nodes.finetuned.relevance import read_relevance
    from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
    from langgraph_cooper.ranker.training.embedding_cache import caching_encoder

    spec = load_task(task)
    make_folder(output)
    found = read_file(spec, data)
    kept_out = read_file(spec, valid) if valid else []
    if valid_ids:
        names = {each.id for each in read_file(spec, valid_ids)}
        kept_out += [each for each in found if each.id in names]
        found = [each for each in found if each.id not in names]
    embed, _ = caching_encoder(DEFAULT_ENCODER, cache, bfloat16=False)
    _embed_all([*found, *kept_out], embed)
    random.Random(seed).shuffle(found)
    few = max(len(found) // KEPT, 2)
    choosing, learning = found[:few], found[few:]
    others, own, generic = MIX

    def mixed(dialogues: Sequence[Dialogue]) -> list[Pool]:
        maker = PoolMaker(dialogues, embed, seed)
        return maker.pools(dialogues, others=others, own=own, generic=generic)

    pools = PoolMaker(learning, embed, seed).pools(learning)
    weights = train_relevance(pools, mixed(choosing), epochs=epochs, seed=seed)
    write_relevance(weights, output, spec.name, DEFAULT_ENCODER)
    typer.echo(f"the model is in {output}; it learnt from {len(pools)} turns")
    if kept_out:
        model, measured = read_relevance(output, embed), mixed(kept_out)
        for name, scores in (
            ("the model", [model.head(*pool) for pool in measured]),
            ("cosine with the last words", [pool.replies @ pool.heard[0] for pool in measured]),
        ):
            auc, first, rank = figures(scores)
            typer.echo(
                f"{name}: AUC {auc:.3f}, the true reply first of 8 in {first:.3f} and at rank "
                f"{rank:.2f} on average ({len(measured)} turns)"
            )


def _embed_all(dialogues: Sequence[Dialogue], embed: Embed) -> None:
    """Embed all utterances at once, in batches of similar length; the cache keeps them."""
    embed(sorted({said.text for each in dialogues for said in each.utterances}))
