"""Prints how the code is laid out: circles of imports (there must be none), and the longest parts of each package.

A room is a folder of the package. A circle is a set of modules, or of rooms, that import each other in a ring.
``make structure`` runs this; it exits with 1 if there is a circle.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp
import networkx
from rich.console import Console
from rich.table import Table

PACKAGE: Final = "overlaycast"
ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Part:
    """A file, function or class, and how many lines it has."""

    name: str
    lines: int

    def __str__(self) -> str:
        return f"{self.lines:4}  {self.name}"


def imports() -> networkx.DiGraph[str]:
    """Return the modules of the package, with an edge from each to those that it imports."""
    found = grimp.build_graph(PACKAGE)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(found.modules)
    for module in found.modules:
        graph.add_edges_from((module, other) for other in found.find_modules_directly_imported_by(module))
    return graph


def room_of(module: str) -> str:
    """Return the folder that a module lies in, as a package."""
    path = ROOT / Path(*module.split("."))
    return module if path.is_dir() else module.rpartition(".")[0]


def rooms(modules: networkx.DiGraph[str]) -> networkx.DiGraph[str]:
    """Return the packages below overlaycast, with an edge from each to those that it imports."""
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for module, other in modules.edges:
        here, there = room_of(module), room_of(other)
        if here != there and PACKAGE not in (here, there):
            graph.add_edge(here, there)
    return graph


def circles(graph: networkx.DiGraph[str]) -> list[list[str]]:
    """Return each set of nodes that reach each other."""
    return sorted(sorted(found) for found in networkx.strongly_connected_components(graph) if len(found) > 1)


def parts(file: Path) -> Iterator[tuple[str, Part]]:
    """Return the file itself, its functions and its classes, each with its kind."""
    text = file.read_text()
    yield "file", Part(file.name, len(text.splitlines()))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            yield kind, Part(f"{file.name}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)


def longest(folder: Path) -> dict[str, Part]:
    """Return the longest file, function and class of a package."""
    found: dict[str, Part] = {}
    for file in sorted(folder.glob("*.py")):
        for kind, part in parts(file):
            if kind not in found or part.lines > found[kind].lines:
                found[kind] = part
    return found


def table() -> Table:
    """Return the longest parts of every package."""
    made = Table("package", "files", "longest file", "longest function", "longest class", box=None, pad_edge=False)
    for folder in sorted({file.parent for file in (ROOT / PACKAGE).rglob("*.py")}):
        found = longest(folder)
        kinds = (str(found.get(kind, "")) for kind in ("file", "function", "class"))
        made.add_row(str(folder.relative_to(ROOT)), str(len(list(folder.glob("*.py")))), *kinds)
    return made


def main() -> int:
    """Print it all."""
    modules = imports()
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    worst = 0
    for what, graph in (("modules", modules), ("packages", rooms(modules))):
        found = circles(graph)
        console.print(f"circles of {what}: {len(found)}")
        for circle in found:
            console.print(f"  {', '.join(circle)}")
        worst = worst or int(bool(found))
    console.print()
    console.print(table())
    return worst


if __name__ == "__main__":
    sys.exit(main())
