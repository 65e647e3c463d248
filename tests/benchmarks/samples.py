"""What the fine-tuned generator draws at real turns, and what choosing among it is worth.

python -m tests.benchmarks.samples draw --task esc --data valid.txt --limit 600 --draws 2
    --output samples.jsonl
python -m tests.benchmarks.samples redraw --drawn samples.jsonl --temperature 0.6 --limit 300
    --output cool.jsonl
python -m tests.benchmarks.samples count --task esc --drawn samples.jsonl
python -m tests.benchmarks.samples curve --drawn samples.jsonl cool.jsonl --temperatures 0.8 0.6
    --figure decoding.png
python -m tests.benchmarks.samples topics --drawn samples.jsonl others.jsonl

`draw` runs the whole offline pipeline on the real histories and keeps, for each turn, the samples,
the bank's sentence, what the generator read and the reply; `--draws 2` keeps eight more samples
than the scorer chose among. `redraw` draws again for what a file holds, at another temperature or
(`--other-topics`) with the topics of another conversation's turn. `count` leaves each part of the
scorer out in turn, and counts claims by a counter that the scorer does not use; `curve` shows what
decoding trades; `topics` how near samples are to the topics that were shown. A stopped `draw` or
`redraw` goes on by the same command.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.graph.evaluation.speakers import greeted, messages_of
from langgraph_cooper.graph.evaluation.text_metrics import score_texts
from langgraph_cooper.nodes.candidates import distinct_topics
from langgraph_cooper.nodes.crisis.phrases import unsayable
from langgraph_cooper.nodes.finetuned import choice
from langgraph_cooper.nodes.finetuned.engine import Sampling, load_engine
from langgraph_cooper.nodes.finetuned.format import Given, TopicLine
from langgraph_cooper.nodes.finetuned.generator import seed_of
from langgraph_cooper.nodes.finetuned.mbr import most_typical
from langgraph_cooper.nodes.finetuned.rules import RULES
from langgraph_cooper.nodes.finetuned.tape import SAMPLES
from langgraph_cooper.nodes.resources import voice_of
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import Dialogue, Utterance
from langgraph_cooper.ranker.data.reading import read_dialogues
from langgraph_cooper.ranker.model.encoder import load_encoder
from langgraph_cooper.ranker.plots import style
from tests.benchmarks.choosing import PARTS
from tests.benchmarks.claims import claim
from tests.benchmarks.pairs import rows_of


class Drawn:
    """Keeps the samples of a turn, as the tape of a conversation."""

    def __init__(self, draws: int) -> None:
        self.draws = draws
        self.row: dict[str, Any] = {}

    def samples(self, seed: int, draw: Callable[[], list[str]]) -> list[str]:
        """Draw several times; the first draw is what the scorer chooses among."""
        first, *more = [draw() for _ in range(self.draws)]
        self.row = {"samples": first, "more": [each for some in more for each in some]}
        return first


class Telling(NamedTuple):
    """A chooser that tells what it had to choose from."""

    chooser: choice.Chooser
    drawn: Drawn

    def choose(
        self,
        said: Sequence[Utterance],
        samples: Sequence[str],
        fallback: str,
        topics: Sequence[str],
    ) -> choice.Choice:
        """Choose as the scorer does."""
        chosen = self.chooser.choose(said, samples, fallback, topics)
        self.drawn.row |= {"fallback": fallback, "chosen": chosen.text, "index": chosen.index}
        return chosen


def finished(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file that a stop may have cut."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    return rows_of(file)


async def draw(given: argparse.Namespace) -> None:
    """Run the pipeline at real turns and keep what was drawn."""
    task = load_task(given.task)
    dialogues = read_dialogues(given.data, task).dialogues[given.skip :]
    whole = {row["dialogue"] for row in finished(given.output) if row["last"]}
    rows = [row for row in finished(given.output) if row["dialogue"] in whole]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    given.output.write_text("".join(lines), encoding="utf-8")
    drawn = Drawn(given.draws)
    plain = choice.load_chooser
    choice.load_chooser = lambda *a, **b: Telling(plain(*a, **b), drawn)  # type: ignore[assignment,return-value]
    SAMPLES.set(drawn)
    graph = create_cooper(task, generator="finetuned").compile()
    done = len(rows)
    with given.output.open("a", encoding="utf-8") as file:
        for dialogue in dialogues:
            if done >= given.limit:
                break
            if dialogue.id not in whole:
                async for row in turns_of(dialogue, graph, task, drawn):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    done += 1
                file.flush()
                print(f"{done:,} turns", file=sys.stderr, flush=True)


async def turns_of(
    dialogue: Dialogue, graph: Any, task: TaskSpec, drawn: Drawn
) -> AsyncIterator[dict[str, Any]]:
    """Yield a row for each system turn of a dialogue."""
    carried: dict[str, Any] = {}
    places = dialogue.system_turns
    for place in places:
        history = greeted(dialogue.history(place), task)
        drawn.row = {}
        state = await graph.ainvoke({"messages": messages_of(history), **carried})
        carried = {key: state[key] for key in (*task.aspect_names, "guard") if key in state}
        best = distinct_topics(state.get("ranking") or [])[: task.k]
        yield {
            "dialogue": dialogue.id,
            "turn": place,
            "last": place == places[-1],
            "history": [list(each) for each in history],
            "states": {
                name: (state.get(name) or {}).get("state", "") for name in task.aspect_names
            },
            "topics": [[each["strategy"], each["topic"]] for each in best],
            "reply": state["messages"][-1].text,
            "reference": dialogue.utterances[place].text,
            **drawn.row,
        }


def given_in(row: dict[str, Any]) -> Given:
    """Return what the generator read."""
    return Given(history_in(row), row["states"], [TopicLine(*each) for each in row["topics"]])


def history_in(row: dict[str, Any]) -> list[Utterance]:
    """Return what was said before a turn."""
    return [Utterance(*each) for each in row["history"]]


def redraw(given: argparse.Namespace) -> None:
    """Draw again for the turns of a file, at another temperature or on other topics."""
    engine = load_engine(voice_of(load_task(given.task), None))
    sampling = Sampling(temperature=given.temperature)
    known = len(finished(given.output))
    rows = sampled(given.drawn)[: given.limit]
    with given.output.open("a", encoding="utf-8") as file:
        for place, row in list(enumerate(rows))[known:]:
            shown = elsewhere(rows, place)["topics"] if given.other_topics else row["topics"]
            turn = given_in({**row, "topics": shown})
            found = [
                text
                for _ in range(given.draws)
                for text in engine.sample([turn], sampling, seed=seed_of(turn.history))[0]
            ]
            kept = {"dialogue": row["dialogue"], "turn": row["turn"], "topics": shown}
            kept |= {"samples": [text for text in found if text], "more": []}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
            file.flush()


def sampled(file: Path) -> list[dict[str, Any]]:
    """Return the turns of a file at which the generator spoke: not those of a certain crisis."""
    return [row for row in rows_of(file) if row.get("samples")]


def elsewhere(rows: Sequence[dict[str, Any]], place: int) -> dict[str, Any]:
    """Return the turn of another conversation that lies half a file away, or just after."""
    order = [*range(place + len(rows) // 2, len(rows)), *range(place + len(rows) // 2)]
    return next(
        rows[other % len(rows)]
        for other in order
        if rows[other % len(rows)]["dialogue"] != rows[place]["dialogue"]
    )


# What choosing is worth ---------------------------------------------------------------------------

PLAIN = ("the first sample", "the most typical sample", "the bank")


def count(given: argparse.Namespace) -> None:
    """Print what is chosen with each part of the scorer, and each rule, left out."""
    task, embed = load_task(given.task), load_encoder().encode
    rows = [row for file in given.drawn for row in sampled(file)]
    full = choice.load_chooser(task, embed)
    choosers = {"the scorer": full} | {f"without {name}": full.without(name) for name in PARTS}
    choosers["without due"] = full.without("due")
    never = replace(choice.DEFAULT, bank=-100.0)  # it is said only if all others are out
    choosers["without the bank's sentence"] = choice.load_chooser(task, embed, weights=never)
    if given.each_rule:
        choosers |= {f"without the rule {name}": full.without(name) for name in RULES}
    choosers["without any rule"] = full.without(*RULES)
    said = {name: [row["samples"][0] for row in rows] for name in PLAIN[:1]}
    said[PLAIN[1]] = [row["samples"][most_typical(row["samples"])] for row in rows]
    said[PLAIN[2]] = [row["fallback"] for row in rows]
    found = {name: {"own": 1.0, **measured(replies, rows)} for name, replies in said.items()}
    found[PLAIN[2]]["own"] = 0.0
    for name, chooser in choosers.items():
        chosen = [
            chooser.choose(history_in(row), row["samples"], row["fallback"], topics_in(row))
            for row in rows
        ]
        own = [each.index >= 0 for each in chosen]
        found[name] = {"own": sum(own) / len(own)} | measured([each.text for each in chosen], rows)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in found[name].items())
        print(f"{name:32} {shown}", file=sys.stderr, flush=True)
    kept = [row["reply"] for file in given.drawn for row in rows_of(file)]
    for reply in kept:
        if words := claim(reply):
            print(f"claim {words!r}: {reply}", file=sys.stderr)
    told = {"replies": len(kept), "claims": sum(claim(each) is not None for each in kept)}
    told["unsayable"] = sum(unsayable(each) for each in kept)
    print(json.dumps({"turns": len(rows), "kept": told, "choosers": found}, indent=1))


def measured(replies: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return what can be counted of replies."""
    before = [{text for who, text in row["history"] if who == "system"} for row in rows]
    scores = score_texts(replies, [row["reference"] for row in rows], meteor=False).scores()
    return {
        "claims": sum(claim(each) is not None for each in replies),
        "unsayable": sum(unsayable(each) for each in replies),
        "said before": sum(each in said for each, said in zip(replies, before, strict=True)),
        **{name: round(scores[name], 2) for name in ("BL-2", "RG-L", "Dist-2")},
    }


def topics_in(row: dict[str, Any]) -> list[str]:
    """Return the texts of a turn's topics, best first."""
    return [topic for _, topic in row["topics"]]


# What decoding trades -----------------------------------------------------------------------------

VOTERS = (1, 4, 8, 16)  # of two samples each is as typical as the other


def curve(given: argparse.Namespace) -> None:
    """Print and draw likeness over variety, by temperature and number of samples that vote."""
    files = dict(zip(given.temperatures, given.drawn, strict=True))
    drawn = {name: sampled(file) for name, file in files.items()}
    turns = min(map(len, drawn.values()))
    references = {(r["dialogue"], r["turn"]): r.get("reference") for r in sampled(given.drawn[0])}
    found: dict[str, list[dict[str, float]]] = {}
    for name, rows in drawn.items():
        # The engine hands out the likeliest sample first.
        rng = random.Random(0)
        mixed = [
            rng.sample(each, len(each)) for row in rows if (each := row["samples"] + row["more"])
        ]
        for voters in VOTERS:
            some = [each[:voters] for each in mixed[:turns]]
            replies = [each[most_typical(each)] for each in some]
            real = [references[row["dialogue"], row["turn"]] for row in rows[:turns]]
            scores = score_texts(replies, real, meteor=False).scores()
            found.setdefault(name, []).append({"voters": voters, **scores})
    print(json.dumps({"turns": turns, "temperatures": found}, indent=1))
    if given.figure:
        draw_curve(found, turns, given.figure)


def draw_curve(found: dict[str, list[dict[str, float]]], turns: int, file: Path) -> None:
    """Draw BLEU-2 and ROUGE-L over Distinct-2, a line for each temperature."""
    figure = style.new_figure(9.6, 3.9)
    panels = figure.subplots(1, 2)
    labels = {"BL-2": "BLEU-2", "RG-L": "ROUGE-L"}
    for axes, (metric, label) in zip(panels, labels.items(), strict=True):
        for (name, points), colour in zip(found.items(), style.SERIES, strict=False):
            across, up = [p["Dist-2"] for p in points], [p[metric] for p in points]
            axes.plot(across, up, "o-", color=colour, label=f"temperature {name}")
            for x, y, point in zip(across, up, points, strict=True):
                axes.annotate(f"{point['voters']:.0f}", (x, y), (4, 4), textcoords="offset points")
        axes.set_xlabel("Distinct-2")
        axes.set_title(label)
        style.tidy(axes, grid="both")
    figure.suptitle(f"The most typical of 1, 4, 8 and 16 samples at {turns} turns")
    style.legend_below(figure, *panels[0].get_legend_handles_labels())
    style.save(figure, file.parent, file.stem, file.suffix[1:])


# What topics do -----------------------------------------------------------------------------------


def topics(given: argparse.Namespace) -> None:
    """Print how near samples are to topics, with these topics shown and with their own."""
    embed = load_encoder().encode
    own, other = sampled(given.drawn[0]), sampled(given.drawn[1])
    turns = min(len(own), len(other))
    near: dict[str, list[float]] = {}
    for with_own, with_other in zip(own[:turns], other[:turns], strict=True):
        mine, theirs = (embed(topics_in(row)) for row in (with_own, with_other))
        for name, row in (("own", with_own), ("another conversation's", with_other)):
            vectors = embed(row["samples"])
            near.setdefault(f"{name} shown, cosine with the turn's own", []).append(
                float((vectors @ mine.T).max(1).mean())
            )
            near.setdefault(f"{name} shown, cosine with the other's", []).append(
                float((vectors @ theirs.T).max(1).mean())
            )
    print(json.dumps({"turns": turns} | {k: float(np.mean(v)) for k, v in near.items()}, indent=1))


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--data", type=Path, required=True)
    drawing.add_argument("--skip", type=int, default=0, help="conversations")
    drawing.set_defaults(run=lambda given: asyncio.run(draw(given)))
    again = commands.add_parser("redraw")
    again.add_argument("--drawn", type=Path, required=True)
    again.add_argument("--temperature", type=float, default=Sampling().temperature)
    again.add_argument("--other-topics", action="store_true")
    again.set_defaults(run=redraw)
    for each in (drawing, again):
        each.add_argument("--output", type=Path, required=True)
        each.add_argument("--limit", type=int, default=600, help="turns")
        each.add_argument("--draws", type=int, default=1, help="of eight samples each")
    counting, drawn, shown = map(commands.add_parser, ("count", "curve", "topics"))
    counting.set_defaults(run=count)
    counting.add_argument("--each-rule", action="store_true", help="leave out each rule, too")
    drawn.add_argument("--temperatures", nargs="+", required=True, help="of the files")
    drawn.add_argument("--figure", type=Path)
    drawn.set_defaults(run=curve)
    shown.set_defaults(run=topics)
    for each in (counting, drawn, shown):
        each.add_argument("--drawn", type=Path, nargs="+", required=True)
    for each in (drawing, again, counting):
        each.add_argument("--task", default="esc")
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
