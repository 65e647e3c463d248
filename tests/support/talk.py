"""Short builders of utterances, candidates and rankings."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_cooper.nodes.state import Candidate, RankedCandidate
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance


def user(text: str) -> Utterance:
    """Return an utterance of the user."""
    return Utterance("user", text)


def system(text: str) -> Utterance:
    """Return an utterance of the system."""
    return Utterance("system", text)


def rounds(count: int) -> list[Utterance]:
    """Return `count` rounds and one more utterance of the user."""
    said = [(user(f"Word {n} from me."), system(f"Reply {n} of mine.")) for n in range(count)]
    return [utterance for pair in said for utterance in pair] + [user("Last word.")]


def candidate(topic: str, strategy: str = "Question", source: str = "bank") -> Candidate:
    """Return a candidate."""
    return Candidate(topic=topic, strategy=strategy, source=source)


def ranking(topics: Sequence[tuple[str, str]], source: str = "bank") -> list[RankedCandidate]:
    """Return a ranking of (aspect, topic), best first."""
    return [
        RankedCandidate(
            rank=rank, score=-float(rank), aspect=aspect, strategy="", topic=topic, source=source
        )
        for rank, (aspect, topic) in enumerate(topics, start=1)
    ]


def everything(task: TaskSpec) -> list[tuple[str, str]]:
    """Return (aspect, topic) of all topics of the task, including the passive ones."""
    owned = [(aspect.name, aspect.topics) for aspect in task.aspects]
    owned += [(PASSIVE, kind.topics) for kind in task.passive]
    return [(name, topic.topic) for name, topics in owned for topic in topics]
