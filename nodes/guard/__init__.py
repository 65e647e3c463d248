"""The safety guard: answers a crisis with a fixed text, without agents.

Where a crisis is not certain, the turn goes on and `reply_guard` begins the reply with a question
about safety. The guard is a floor, not a clinical judgement (docs/safety.md).
"""

from langgraph_cooper.nodes.guard.help import CONCERN, MARK, help_text, pinned_text
from langgraph_cooper.nodes.guard.node import after_guard, guard_node
from langgraph_cooper.nodes.guard.review import released, review_node

__all__ = [
    "CONCERN",
    "MARK",
    "after_guard",
    "guard_node",
    "help_text",
    "pinned_text",
    "released",
    "review_node",
]
