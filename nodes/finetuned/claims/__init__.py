"""Tells replies in which a program would claim a life, by their meaning."""
