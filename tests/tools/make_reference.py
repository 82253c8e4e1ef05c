"""Write docs/reference from the program itself (`make docs`); a test fails when it is stale."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tests.tools.http_reference import http_page, openapi_file
from tests.tools.jobs_reference import jobs_page
from tests.tools.metrics_reference import metrics_page

from f5serve.cli.options import make_parser
from f5serve.models.registry import PUBLISHED
from f5serve.settings import Settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
GENERATED = "<!-- Written by `make docs`; edits are lost. -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    return {
        "settings.md": settings_page(),
        "cli.md": cli_page(),
        "models.md": models_page(),
        "http.md": GENERATED + http_page(),
        "openapi.json": openapi_file(),
        "jobs.md": GENERATED + jobs_page(),
        "metrics.md": GENERATED + metrics_page(),
    }


def settings_page() -> str:
    """Every environment variable, its default and its meaning."""
    lines = [
        "# Settings\n",
        "All settings are environment variables, read once at start. An `F5_` name that is not",
        "in this table is warned about, with the nearest name that is.\n",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    home = str(Path.home())
    for field in dataclasses.fields(Settings):
        default = str(getattr(Settings(), field.name)).replace(home, "~")
        shown = f"`{default}`" if default not in ("None", "", "False", "()") else ""
        lines.append(f"| `{field.metadata['env']}` | {shown} | {field.metadata['doc']} |")
    return GENERATED + "\n".join(lines) + "\n"


def cli_page() -> str:
    """The help of every command."""
    text = "# Command line\n"
    for name, parser in commands("f5serve", make_parser()):
        text += f"\n## {name}\n\n```text\n{parser.format_help().strip()}\n```\n"
    return GENERATED + text


def commands(
    name: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser and all parsers below it, each once, whatever else it is called."""
    parser.formatter_class = fixed_width(parser.formatter_class)
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            named = {child: verb for verb, child in reversed(action.choices.items())}
            for child in dict.fromkeys(action.choices.values()):
                yield from commands(f"{name} {named[child]}", child)


def fixed_width(formatter: type[argparse.HelpFormatter]) -> type[argparse.HelpFormatter]:
    """The formatter at 96 columns, whatever the terminal."""

    class Fixed(formatter):  # type: ignore[valid-type, misc]
        def __init__(self, prog: str) -> None:
            super().__init__(prog, width=96)

    return Fixed


def models_page() -> str:
    """Every checkpoint that can be asked for by name."""
    lines = [
        "# Models\n",
        "`f5serve models pull ID` fetches one with the vocoder. Weights are not part of f5serve;",
        "each has the licence of those who trained it. A revision that is not pinned here is",
        "resolved at the first pull and recorded, and a later change is refused.\n",
        "| id | repository | architecture | languages | licence | commercial use | pinned |",
        "|---|---|---|---|---|---|---|",
    ]
    for spec in (*PUBLISHED.models, PUBLISHED.vocoder):
        commercial = "yes" if spec.commercial else "no"
        pinned = f"`{spec.revision[:12]}`" if spec.revision else "at first pull"
        languages = " ".join(spec.languages)
        lines.append(
            f"| `{spec.id}` | {spec.repo} | {spec.arch} | {languages} | {spec.license} "
            f"| {commercial} | {pinned} |"
        )
    return GENERATED + "\n".join(lines) + "\n"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
