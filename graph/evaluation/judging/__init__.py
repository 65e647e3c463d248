"""Judges of whole conversations, the statistics of their verdicts, and how good a judge is."""
