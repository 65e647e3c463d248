"""Measurements of the product as a user meets it; `make bench` runs them."""
