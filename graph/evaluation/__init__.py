"""Evaluations that need a language model."""
