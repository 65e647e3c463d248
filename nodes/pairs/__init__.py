"""Reads two adjacent utterances together: what was said, and what is said to it."""
