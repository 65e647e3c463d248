"""The graphs that `langgraph.json` names, for LangGraph Studio and the LangGraph server.

Compiled without a checkpointer: the server brings its own. The environment variables
`COOPER_MODELS`, `COOPER_GOALS` and `COOPER_LIMITS` narrow what clients may choose in `context`.
"""

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.allowed import Allowed

ALLOWED = Allowed.from_environment()

esc = create_cooper("esc", allowed=ALLOWED).compile(name="esc")
persuasion = create_cooper("persuasion", allowed=ALLOWED).compile(name="persuasion")
