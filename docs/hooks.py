"""Hooks of the site: pages from the repository's root, and links to files outside docs/.

The pages link to the repository's files by relative paths, so that the links work where the
repository is browsed. The site has no such files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    f"{name}.md": f"{name.lower()}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?!https?:)(?P<path>[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the root's Markdown files as pages."""
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Points links to files outside docs/ at the site's page, the repository's host, or nothing."""
    folder = ROOT if page.file.src_uri in ROOT_PAGES.values() else ROOT / "docs"

    def rewrite(link: re.Match[str]) -> str:
        path = (folder / link["path"]).resolve().relative_to(ROOT)
        anchor = link["anchor"] or ""
        if path.parts[0] == "docs":
            return f"[{link['text']}]({path.relative_to('docs')}{anchor})"
        if str(path) in ROOT_PAGES:
            return f"[{link['text']}]({ROOT_PAGES[str(path)]}{anchor})"
        if config.repo_url:
            return f"[{link['text']}]({config.repo_url.rstrip('/')}/blob/HEAD/{path}{anchor})"
        return link["text"]

    return LINK.sub(rewrite, markdown)
