"""Loading labelled dialogues: ESConv, Persuasion for Good (P4G), and a user's own.

Forms that `read_dialogues` tells apart:

* ESConv as JSONL (`{"dialog": [{"speaker": "usr" | "sys", "text", "strategy"}]}` a line) or as the
  JSON list of its first release (`seeker` / `supporter`, `content`, `annotation.strategy`);
* P4G `full_dialog.csv`, without strategies, and `300_dialog.xlsx`, with one per sentence;
* P4G annotated by an LLM: a JSON list whose persuader turns carry states and topic candidates;
* a user's own JSONL, `{"id", "utterances": [{"speaker", "text", "strategies"}]}` with the speakers
  "user" and "system", or the annotated form of `langgraph_cooper.ranker.annotated`.

Consecutive turns of one speaker become one utterance: the texts joined with a space, the strategies
kept in order. Nothing is dropped in silence: a `LoadReport` counts what the task has no use for.
"""

from __future__ import annotations

from langgraph_cooper.ranker.annotated import DataError, Dialogue, LabelledUtterance
from langgraph_cooper.ranker.datasets.download import PUBLIC_HOMES, PublicFile, fetch
from langgraph_cooper.ranker.datasets.reading import load_dialogues, read_dialogues
from langgraph_cooper.ranker.datasets.report import Loaded, LoadReport
from langgraph_cooper.ranker.datasets.splits import split_dialogues
from langgraph_cooper.ranker.datasets.statistics import Statistics, statistics

__all__ = [
    "PUBLIC_HOMES",
    "DataError",
    "Dialogue",
    "LabelledUtterance",
    "LoadReport",
    "Loaded",
    "PublicFile",
    "Statistics",
    "fetch",
    "load_dialogues",
    "read_dialogues",
    "split_dialogues",
    "statistics",
]
