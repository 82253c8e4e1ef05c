"""The size and shape of the source, as anybody can measure it: `make house`.

Lines of code are lines that hold at least one token of a statement: no blank lines, no comments, no
docstrings. Prints one line of JSON; with --files a table of all modules as well; with --calls what
one request runs (`calls.py`), and --path names its functions.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "f5serve"
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
_CATCH_ALL = {"Exception", "BaseException"}


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    name: str
    """Dotted, without `f5serve.`; a package's `__init__` has the name of the package."""
    lines: int
    """Of code."""
    imports: frozenset[str]
    """Modules of ours that it imports when it is imported itself, by name."""
    uses: frozenset[str]
    """All modules of ours that it imports, inside functions too."""
    longest: int
    """Lines of its longest function, of any kind."""
    catches_all: int
    """Handlers of every exception."""


def code_lines(text: str) -> int:
    """Lines of `text` that hold code."""
    strings = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - strings)


def read(source: Path = SOURCE) -> list[Module]:
    """All modules, by name."""
    names = {_name(path, source): path for path in sorted(source.rglob("*.py"))}
    return [_module(name, path, frozenset(names)) for name, path in names.items()]


def _name(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "f5serve"


def _module(name: str, path: Path, names: frozenset[str]) -> Module:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return Module(
        name=name,
        lines=code_lines(text),
        imports=frozenset(_imports(_at_import(tree), names)) - {name},
        uses=frozenset(_imports(ast.walk(tree), names)) - {name},
        longest=max(functions, default=0),
        catches_all=sum(_is_catch_all(node) for node in ast.walk(tree)),
    )


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: not functions, not what type checkers read alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _at_import(child)


def _imports(nodes: Iterator[ast.AST], names: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [one if _known(one, names) else str(node.module) for one in found]
        else:
            continue
        for one in found:
            if _known(one, names):
                yield one.removeprefix("f5serve.")


def _known(name: str, names: frozenset[str]) -> bool:
    return name.startswith("f5serve.") and name.removeprefix("f5serve.") in names


def _is_catch_all(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = [] if node.type is None else ast.walk(node.type)
    return node.type is None or any(isinstance(n, ast.Name) and n.id in _CATCH_ALL for n in caught)


def cycles(modules: list[Module]) -> list[tuple[str, ...]]:
    """Groups of modules that import one another when they are imported."""
    graph = {module.name: module.imports for module in modules}
    reach = {name: _reachable(name, graph) for name in graph}
    groups = {
        tuple(sorted({name, *(other for other in reach[name] if name in reach[other])}))
        for name in graph
        if name in reach[name]
    }
    return sorted(groups)


def _reachable(name: str, graph: dict[str, frozenset[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[name])
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += graph[one]
    return seen


def shape(modules: list[Module]) -> dict[str, Any]:
    """The figures: files, lines of code, their median, what is longest, cycles, catch-alls."""
    used: dict[str, int] = {module.name: 0 for module in modules}
    for module in modules:
        for name in module.uses:
            used[name] += 1
    with_code = [module for module in modules if module.lines]
    return {
        "files": len(with_code),
        "lines": sum(module.lines for module in modules),
        "median_lines": median(module.lines for module in with_code),
        "longest_file": max((m.lines, m.name) for m in modules),
        "longest_function": max((m.longest, m.name) for m in modules),
        "single_user": sum(used[m.name] == 1 for m in with_code),
        "catch_alls": sum(module.catches_all for module in modules),
        "cycles": cycles(modules),
    }


def main() -> None:
    """Print the shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", action="store_true", help="every module: lines, users, name")
    parser.add_argument("--calls", action="store_true", help="what one request runs")
    parser.add_argument("--path", help="the functions of one request: speech or job")
    options = parser.parse_args()
    modules = read()
    if options.files:
        for module in sorted(modules, key=lambda one: one.name):
            users = [other.name for other in modules if module.name in other.uses]
            print(f"{module.lines:5} {len(users):3}  {module.name:34} {' '.join(users[:6])}")
    print(json.dumps(shape(modules)))
    if options.calls or options.path:
        from tests.tools import calls

        for name, path in calls.measure().items():
            if name == options.path:
                for function, count in path.functions.items():
                    print(f"{count:5}  {function}")
            print(f"one {name}: {json.dumps(path.figures())}")


if __name__ == "__main__":
    main()
