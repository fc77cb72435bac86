"""Pages that are made when the site is built, into `generated/`, which git ignores: reference, command line, tutorials."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.pycode import ModuleAnalyzer

from qlstm_qiskit.cli.app import app

DOCS = Path(__file__).parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

#: Files of the repository that are pages here, by the names that their links have.
FILES = {"ARCHITECTURE.md": "architecture", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
#: Files that the pages of `docs` link to, so that links work where the repository is read, and the pages that they are here.
READ_THERE = {**FILES, "notebooks/README.md": "tutorials"}

#: The public packages, in the order of the reference.
ROOMS = (
    "qlstm_qiskit",
    "qlstm_qiskit.nn",
    "qlstm_qiskit.training",
    "qlstm_qiskit.space",
    "qlstm_qiskit.search",
    "qlstm_qiskit.data",
    "qlstm_qiskit.exact",
    "qlstm_qiskit.hardware",
    "qlstm_qiskit.experiments",
    "qlstm_qiskit.circuits",
    "qlstm_qiskit.report",
)


def write_all() -> None:
    """Write all generated pages; what has not changed keeps its time, so that it is not read again."""
    wanted = {GENERATED / "command-line.md": command_line(), **tutorials()}
    wanted |= {GENERATED / f"{page}.md": linked((ROOT / name).read_text()) for name, page in FILES.items()}
    for room in ROOMS:
        wanted[GENERATED / "api" / f"{room}.rst"] = reference(room)
    for path in [path for path in GENERATED.rglob("*") if path.is_file() and path not in wanted]:
        path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != content:
            path.write_text(content)


def public(room: str) -> list[tuple[str, Any]]:
    """The names that a package exports, with what they stand for."""
    module = importlib.import_module(room)
    return [(name, getattr(module, name)) for name in sorted(module.__all__, key=str.lower)]


def reference(room: str) -> str:
    """The page of a package: everything in its `__all__`. The top level lists what its packages describe."""
    about = inspect.getdoc(importlib.import_module(room)) or ""
    lines = [room, "=" * len(room), "", about, ""]
    if room == ROOMS[0]:
        lines += [".. list-table::", "   :widths: auto", ""]
        for name, value in public(room):
            home = ".".join(value.__module__.split(".")[:2])
            role = "class" if inspect.isclass(value) else "func"
            first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
            lines += [f"   * - :py:{role}:`~{home}.{name}`", f"     - {separated(first)}"]
        return "\n".join(lines) + "\n"
    for name, value in public(room):
        if getattr(value, "__module__", "").startswith("qlstm_qiskit") and (
            inspect.isclass(value) or inspect.isfunction(value)
        ):
            lines += [f".. auto{'class' if inspect.isclass(value) else 'function'}:: {room}.{name}", ""]
        else:
            lines += [f".. py:data:: {room}.{name}", "", *(f"   {line}" for line in comment(room, name)), ""]
            if isinstance(value, Collection):
                lines += [f"   Holds {', '.join(f'``{key}``' for key in value)}.", ""]
    return "\n".join(lines) + "\n"


def separated(text: str) -> str:
    """Text whose names in backticks may be followed by a letter, as in `QLSTMCell`s, in reStructuredText."""
    return re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", text)


def comment(room: str, name: str) -> list[str]:
    """What the `#:` lines above a constant say, in the module that a package takes it from."""
    source = Path(inspect.getsourcefile(importlib.import_module(room)) or "")
    stub = source.with_suffix(".pyi")  # of names that are imported on first use
    tree = ast.parse((stub if stub.exists() else source).read_text())
    homes = {
        alias.name: f"{room}.{node.module}" if node.level else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return ModuleAnalyzer.for_module(homes.get(name, room)).find_attr_docs().get(("", name), [])


def commands() -> Iterator[tuple[list[str], Any]]:
    """Every command and every group of commands of `qlstm` with the words that call it, groups before what is in them."""

    def walk(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
        yield words, command
        for name, own in getattr(command, "commands", {}).items():
            yield from walk(own, [*words, name])

    yield from walk(typer.main.get_command(app), ["qlstm"])


def command_line() -> str:
    """The help of every command, as the command prints it."""
    lines = ["# The command line", "", "What each command prints with `--help`.", ""]
    for words, command in commands():
        command.rich_markup_mode = None  # plain text, without boxes
        parent = None
        for word in words[:-1]:
            parent = typer.Context(typer.main.get_command(app), info_name=word, parent=parent)
        context = typer.Context(command, info_name=words[-1], parent=parent, max_content_width=88, terminal_width=88)
        if len(words) > 1:
            lines += [f"{'#' * len(words)} {' '.join(words)}", ""]
        lines += ["```text", command.get_help(context).strip(), "```", ""]
    return "\n".join(lines)


def tutorials() -> dict[Path, str]:
    """The notebooks, and the page that lists them; no list where there is none."""
    found = {GENERATED / "tutorials" / path.name: path.read_text() for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    text = "# Tutorials\n\n"
    if found:
        text += "Notebooks of the repository's `notebooks/`, with the outputs that they were committed with.\n\n"
        text += "```{toctree}\n:glob:\n:maxdepth: 1\n\ntutorials/*\n```\n"
    else:
        text += "There are none yet; begin with the [how-to guides](../how-to/index.md).\n"
    return {**found, GENERATED / "tutorials.md": text}


def linked(text: str) -> str:
    """Text of the repository with its links made those of this site; a file that is no page here is named in their place."""

    def replaced(match: re.Match[str]) -> str:
        label, target = match[1], match[2]
        name = target.partition("#")[0]
        if ":" in target or not name:
            return match[0] if ":" in target else label
        if name in FILES:
            return f"[{label}]({FILES[name]}.md)"
        if name.startswith("docs/"):
            return f"[{label}](../{target.removeprefix('docs/')})"
        return f"`{name}`" if label in (name, f"`{name}`") else f"{label} (`{name}`)"

    text = re.sub(r"(!\[[^\]]+\]\()docs/", r"\1../", text)  # pictures, as these pages lie one folder below docs
    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", replaced, text)


def on_this_site(text: str, page: str) -> str:
    """Text of `docs/PAGE.md` with links to files of `READ_THERE` made those to pages of this site."""
    folder = (DOCS / page).parent

    def replaced(match: re.Match[str]) -> str:
        name, mark, heading = match[1].partition("#")
        file = os.path.relpath(os.path.normpath(folder / name), ROOT)
        if file not in READ_THERE:
            return match[0]
        return f"]({os.path.relpath(GENERATED / READ_THERE[file], folder)}.md{mark}{heading})"

    return re.sub(r"\]\(([^):\s]+\.md[^)\s]*)\)", replaced, text)
