"""Annotating dialogues with what the agents track and propose."""
