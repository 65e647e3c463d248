"""Reading, labelling and splitting dialogues: ESConv, Persuasion for Good (P4G), and a user's own.

Forms that `read_dialogues` recognises:

* ESConv as JSONL (`{"dialog": [{"speaker": "usr" | "sys", "text", "strategy"}]}` a line) or as the
  JSON list of its first release (`seeker` / `supporter`, `content`, `annotation.strategy`);
* P4G `full_dialog.csv`, without strategies, and `300_dialog.xlsx`, with one per sentence;
* P4G annotated by an LLM: a JSON list whose persuader turns carry states and topic candidates;
* a user's own JSONL, `{"id", "utterances": [{"speaker", "text", "strategies"}]}` with the speakers
  "user" and "system", or the annotated form of `langgraph_cooper.ranker.data.jsonl`.

Consecutive turns of one speaker become one utterance: the texts joined with a space, the strategies
kept in order. Nothing is dropped silently: a `LoadReport` counts what is left out or unknown.
"""
