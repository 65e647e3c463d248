"""Encoder, progression modules and trained ranker: the parts of COOPER that are not an LLM.

Importing this package loads neither torch nor a model; its modules do so on use.
"""
