"""The graphs that `langgraph.json` names, for LangGraph Studio and the LangGraph server.

Compiled without a checkpointer: the server brings its own. The environment variables
`COOPER_MODELS`, `COOPER_GOALS` and `COOPER_LIMITS` narrow what clients may choose in `context`;
`COOPER_GUARD_MODEL` names a chat model for the safety guard's second opinion.
"""

import os

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.allowed import Allowed

ALLOWED = Allowed.from_environment()
GUARD_MODEL = os.environ.get("COOPER_GUARD_MODEL") or None

esc = create_cooper("esc", allowed=ALLOWED, guard_model=GUARD_MODEL).compile(name="esc")
persuasion = create_cooper("persuasion", allowed=ALLOWED, guard_model=GUARD_MODEL).compile(
    name="persuasion"
)
