"""Mistakes of who asks for ratings, and of who rates."""

from langgraph_cooper.prompts import CooperError


class RatingError(CooperError):
    """The page cannot be served as it was asked to, or an answer cannot be used."""
