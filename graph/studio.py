"""The graphs that `langgraph.json` names, for LangGraph Studio and the LangGraph server.

Compiled without a checkpointer: the server brings its own.
"""

from langgraph_cooper.graph.cooper import create_cooper

esc = create_cooper("esc").compile(name="esc")
persuasion = create_cooper("persuasion").compile(name="persuasion")
