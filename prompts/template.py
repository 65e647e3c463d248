"""Prompt templates: text with named placeholders, checked when loaded, filled in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

# The placeholders of each prompt; `topics` are the top-K candidates (paper, "Utterance
# Generation"). The dialogue itself never goes into a template: it is sent as messages, or
# between delimiters that are drawn anew for every request.
COMMON = frozenset({"title", "goal", "user_role", "system_role"})
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "tracker": COMMON | {"aspect", "summarise"},
    "promoter": COMMON | {"aspect", "propose", "m", "strategies"},
    "generator": COMMON | {"topics", "words"},
    "earlier": COMMON | {"summaries"},
}
REQUIRED: Mapping[str, frozenset[str]] = {
    "tracker": frozenset({"summarise"}),
    "promoter": frozenset({"propose", "m"}),
    "generator": frozenset({"topics", "words"}),
    "earlier": frozenset({"summaries"}),
}


def check_template(kind: str, text: str) -> str:
    """Return the template if its placeholders are known and the required ones are there.

    Args:
        kind: "tracker", "promoter", "generator" or "earlier".
        text: The template.

    Raises:
        ValueError: A placeholder is unknown, missing or malformed; the text names it.
    """
    try:
        fields = [(name, spec, conv) for _, name, spec, conv in Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(f"{error}; write a literal brace twice: {{{{ or }}}}") from None
    names = {name for name, _, _ in fields if name is not None}
    if unknown := sorted(names - PLACEHOLDERS[kind]):
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS[kind]))
        raise ValueError(f"unknown placeholder {{{unknown[0]}}}; a {kind} prompt may use {known}")
    if missing := sorted(REQUIRED[kind] - names):
        raise ValueError(f"the placeholder {{{missing[0]}}} is missing")
    if any(spec or conv for _, spec, conv in fields):
        raise ValueError("a placeholder takes no format or conversion: write {name} alone")
    return text


def fill(template: str, values: Mapping[str, object]) -> str:
    """Fill a checked template in one pass: braces inside the values stay as they are."""
    return template.format_map(values)
