"""Measuring rankers: metrics, baselines and the report that compares them."""
