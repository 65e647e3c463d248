"""Whole conversations with simulated users (paper, Table 2): held, kept, measured, replayed."""
