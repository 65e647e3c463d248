"""The ranker itself: encoder, progression modules, Transformer, evidence, score and checkpoints."""
