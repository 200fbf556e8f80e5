"""Hooks of the documentation site (mkdocs.yml). The pages are written for a code host; this makes them pages of a site.

- The pages outside `docs/` (the leaderboard, the changelog, ...) are added, under their path in the repository.
- Links are rewritten to where their target is on the site. A link to a file that is not there leads to the repository
  if its address is known (`repository` in mkdocs.yml), and otherwise becomes plain text.
- `<!-- commands -->` is replaced by the commands of `mitobench`, as typer documents them.
"""

from __future__ import annotations

import html
import logging
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "plugins/*/README.md", "leaderboard/**/*")
COMMANDS = "<!-- commands -->"

CODE = re.compile(r"^(?P<fence> *```+)[^\n]*\n.*?^(?P=fence) *$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<before>!?\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\])\((?P<target>[^)\s]+)\)")

LONG_CODE = re.compile(r"(?<=<code>)[^<>\n]{20,}(?=</code>)")

log = logging.getLogger("mkdocs.hooks.mitobench")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and files outside `docs/`."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                files.append(_file(path, config))
    return files


def _file(path: Path, config: MkDocsConfig) -> File:
    """Returns a page or file outside `docs/` as one of the site, where HTML links to other pages as HTML."""
    name = path.relative_to(ROOT).as_posix()
    if path.suffix != ".html":
        return File.generated(config, name, abs_src_path=str(path))
    content = re.sub(r'(href="[\w/-]+)\.md"', r'\1.html"', path.read_text(encoding="utf-8"))
    return File.generated(config, name, content=content)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the text of a page as the site needs it."""
    places = {_path(file): file for file in files}

    def link(found: re.Match[str]) -> str:
        return _link(found, page.file, places, config.extra.get("repository"))

    text = _outside_code(markdown, lambda part: LINK.sub(link, part))
    text = text.replace("<details>", '<details markdown="1">')  # without it, Markdown within it is not rendered
    return text.replace(COMMANDS, _commands()) if COMMANDS in text else text


def on_page_content(content: str, **_: Any) -> str:
    """Returns the HTML of a page in which long paths and names in inline code may be broken."""
    return LONG_CODE.sub(lambda code: re.sub(r"(?<=[/_.:+])(?=\w)", "<wbr>", code.group()), content)


def _path(file: File) -> str:
    """Returns the path of a page or file in the repository; of a generated one, its path on the site."""
    path = Path(file.abs_src_path or file.src_uri).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else file.src_uri


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Changes the text outside of code blocks and code spans, each of which is one character to `change`."""
    code = [found.group() for found in CODE.finditer(text)]
    rest = iter(code)
    return re.sub("\0", lambda _: next(rest), change(CODE.sub("\0", text)))


def _link(link: re.Match[str], page: File, places: dict[str, File], repository: str | None) -> str:
    """Returns a link as the site needs it."""
    target, _, anchor = link["target"].partition("#")
    if not target or ":" in target:
        return link.group()
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_path(page)), target))
    file = places.get(path) or places.get(f"{path}/README.md")
    if file is not None:
        there = posixpath.relpath(file.src_uri, posixpath.dirname(page.src_uri) or ".")
        return f"{link['before']}({there}{'#' * bool(anchor)}{anchor})"
    if not (ROOT / path).exists():
        log.warning("%s: the link to %s leads nowhere", page.src_uri, target)
    if repository:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{link['before']}({repository}/{kind}/main/{path})"
    return link["text"]


def _commands() -> str:
    """Returns the documentation of all commands in Markdown, below the page's title."""
    command = [sys.executable, "-m", "typer", "mitobench.cli", "utils", "docs", "--name", "mitobench"]
    plain = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=plain, cwd=ROOT)
    if run.returncode:
        raise PluginError(f"{' '.join(command)} failed:\n{run.stderr}")
    return _readable(html.unescape(run.stdout))


def _readable(text: str) -> str:
    """Returns typer's documentation with whole summaries, and examples as code."""
    summaries = dict(re.findall(r"^#+ `mitobench (.+)`\n\n(.+?)(?:\.\s|$)", text, re.MULTILINE))
    lines, group = [], ""
    for line in text.replace("```console\n$ ", "```text\n").splitlines():
        if heading := re.fullmatch(r"(#+ )`mitobench ?(.*)`", line):
            group = f"{heading[2]} ".lstrip()
            lines.append(line if group else f"#{line}")  # the page has a title of its own
        elif (entry := re.fullmatch(r"\* `(.+?)`: .*", line)) and group + entry[1] in summaries:
            name = group + entry[1]
            lines.append(f"* [`{name}`](#mitobench-{name.replace(' ', '-')}): {summaries[name].removesuffix('.')}.")
        elif not line.startswith("* `--help`"):
            lines.append(line)
    text = re.sub(r"^\*\*Options\*\*:\n\n(?=\n*(?:\*\*|#|\Z))", "", "\n".join(lines), flags=re.MULTILINE)
    text = re.sub(r'<span style="font-weight: bold">(.+?)</span>', r"**\1**", text)
    text = re.sub(r"^Example: (mitobench .+)$", r"Example: `\1`", text, flags=re.MULTILINE)

    def block(found: re.Match[str]) -> str:
        commands = "\n".join(found.group().split("\n\n")).strip()
        return f"```text\n{commands}\n```\n\n"

    return re.sub(r"(?<!```text\n)(?:^mitobench .+\n+)+", block, text, flags=re.MULTILINE)
