"""The trained ranker: encoder, progression modules, Transformer, evidence, score, checkpoints."""
