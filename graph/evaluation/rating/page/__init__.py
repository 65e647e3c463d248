"""The page for raters: plain HTML, CSS and a JavaScript module. It shares files of the server's."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
SHARED = ("base.css", "dom.js", "icon.svg")
"""The files of the server's page that this page shows, too."""
