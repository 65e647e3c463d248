"""Figures, drawn with matplotlib (in the extra `train`), which is imported when one is drawn."""

from langgraph_cooper.ranker.plots.conversations import draw_conversations, draw_wins
from langgraph_cooper.ranker.plots.ranking import draw_first_aspects, draw_report
from langgraph_cooper.ranker.plots.style import PlotError, check_plots
from langgraph_cooper.ranker.plots.targets import draw_silhouettes, draw_states
from langgraph_cooper.ranker.plots.training import draw_log

__all__ = [
    "PlotError",
    "check_plots",
    "draw_conversations",
    "draw_first_aspects",
    "draw_log",
    "draw_report",
    "draw_silhouettes",
    "draw_states",
    "draw_wins",
]
