"""What the documentation site has beside `docs`: results, commands, the changelog, how to contribute.

The files stay where they are read in the repository; here they become pages, and links between them are kept.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "citation.md",
    **{f"benchmarks/results/{path.name}": f"results/{path.name}" for path in sorted(RESULTS.glob("*.md"))},
}
"""Files of the repository, and the pages that they become."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation."""
    results = [page for page in ELSEWHERE.values() if page.startswith("results/")]
    config.nav = [*(config.nav or []), {"Results": results}]
    config.nav += [{"Project": ["contributing.md", "changelog.md", "citation.md"]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for place, page in ELSEWHERE.items():
        text = (ROOT / place).read_text("utf-8")
        if place.endswith(".cff"):
            text = f"# Citation\n\n```yaml\n{text}```\n"
        files.append(File.generated(config, page, content=_linked(text, place, page)))
    files.append(File.generated(config, "reference/commands.md", content=commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that leave `docs` lead to the pages that these files become."""
    source = page.file.src_uri
    return markdown if page.file.generated_by else _linked(markdown, f"docs/{source}", source)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Sort the results by what they are called."""
    for item in nav.items:
        if isinstance(item, Section) and item.title == "Results":
            item.children.sort(key=lambda page: str(page.title))
    return nav


def _linked(text: str, place: str, page: str) -> str:
    """Turn links from a file of the repository into links from a page."""

    def turned(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        found = _resolved(PurePosixPath(place).parent, target)
        became = ELSEWHERE.get(found, found.removeprefix("docs/") if found.startswith("docs/") else None)
        if became is None:
            raise ValueError(f"{place} links {target}, which is no page of the site")
        return f"]({_relative(PurePosixPath(page).parent, became)}{anchor})"

    return re.sub(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)", turned, text)


def _resolved(folder: PurePosixPath, target: str) -> str:
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _relative(folder: PurePosixPath, target: str) -> str:
    depth = len(folder.parts)
    return "../" * depth + target


def commands() -> str:
    """Return what every command says of itself with ``--help``."""
    import click

    from studio.cli.main import infill

    def told(command: click.Command, names: list[str], parent: click.Context | None) -> list[str]:
        context: Any = click.Context(command, info_name=names[-1], parent=parent, max_content_width=100)
        lines = [f"## {' '.join(names)}", "", "```", command.get_help(context), "```", ""]
        for name, part in sorted(getattr(command, "commands", {}).items()):
            lines += told(part, [*names, name], context)
        return lines

    return "\n".join(["# Commands", "", *told(infill, ["infill"], None)])
