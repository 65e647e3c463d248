"""Asks whether a trained user has learnt its signs of manner, on people it has not learnt from.

python -m tests.benchmarks.signs --task esc --train train.txt --data valid.txt --limit 25

For each held-out person the loss of their own words is computed with their own signs, and with one
sign changed: the other end, or the length at the other side. A model that has learnt what a sign
means is less surprised by a person's words with the person's own sign.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from scipy.stats import binomtest

from langgraph_cooper.graph.cli.dialogues import read_file, tracked_states
from langgraph_cooper.graph.training.generator.learner import CausalLearner
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, packs_of
from langgraph_cooper.graph.training.generator.users import Terciles, learned_users
from langgraph_cooper.nodes.finetuned.checkpoint import shipped_voice
from langgraph_cooper.nodes.finetuned.format import Format, TopicLine
from langgraph_cooper.nodes.finetuned.users import END, LENGTH, LONG, LOST, MEDIUM, SHORT, WON
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import Dialogue
from langgraph_cooper.ranker.data.roles import read_roles

OTHER = {WON: LOST, LOST: WON, SHORT: LONG, LONG: SHORT, MEDIUM: SHORT}


def changed(dialogue: LearnedDialogue, name: str) -> LearnedDialogue:
    """Return a dialogue with another sign of one kind."""
    lines = tuple(
        TopicLine(line.strategy, OTHER[line.topic]) if line.strategy == name else line
        for line in dialogue.turns[0].topics
    )
    turns = tuple(turn.model_copy(update={"topics": lines}) for turn in dialogue.turns)
    return dialogue.model_copy(update={"turns": turns})


def loss(learner: CausalLearner, form: Format, dialogue: LearnedDialogue) -> float:
    """Return the mean loss of a person's tokens, in nats."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = [each for pack in packs_of(dialogue, form) for each in learner.losses(pack)]
    return float(torch.cat(found).float().mean())


def told(task: TaskSpec, bare: Sequence[Dialogue]) -> Mapping[str, str]:
    """Let the trackers tell roles, where the data does not."""
    with TemporaryDirectory() as folder:
        return tracked_states(task, bare, Path(folder) / "roles.jsonl")


def main() -> None:
    """Print, for each sign, how often and by how much the person's own is the better one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="esc")
    parser.add_argument("--train", type=Path, required=True, help="what the user learnt from")
    parser.add_argument("--learnt", type=int, default=150, help="the first N of it")
    parser.add_argument("--data", type=Path, required=True, help="people to try it on")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first N of them")
    parser.add_argument("--limit", type=int, default=25)
    given = parser.parse_args()
    task = load_task(given.task)
    voice = shipped_voice(task.name, task.aspect_names, "user")
    if voice is None:
        raise SystemExit(f"no trained user is shipped for {task.name}")
    base = voice.merged()
    form = Format(base.tokenizer.backend_tokenizer, voice.config.kind, voice.config.budgets)
    learner = CausalLearner(base.model.eval())
    terciles = Terciles.of(read_file(task, given.train)[: given.learnt])
    people = read_file(task, given.data)[given.skip :][: given.limit]
    wanted = {each.id for each in people}
    roles = {
        role.id: role
        for role in read_roles(
            given.data, task, lambda bare: told(task, [d for d in bare if d.id in wanted])
        )
    }
    differences: dict[str, list[float]] = {LENGTH: [], END: []}
    for dialogue in learned_users(people, roles, terciles):
        own = loss(learner, form, dialogue)
        for name, found in differences.items():
            if any(line.strategy == name for line in dialogue.turns[0].topics):
                found.append(loss(learner, form, changed(dialogue, name)) - own)
    for name, found in differences.items():
        better = sum(each > 0 for each in found)
        if found:
            p = binomtest(better, len(found)).pvalue
            mean = sum(found) / len(found)
            print(f"{name}: own better in {better} of {len(found)} (p = {p:.2g}), by {mean:+.4f}")


if __name__ == "__main__":
    main()
