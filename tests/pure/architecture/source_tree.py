"""Sources as values: what Python files import, call and define, found without running them; other files as text."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_TEXT_SUFFIXES = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".html"})
_TEXT_NAMES = frozenset({"Makefile"})
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: `path` from the root of the project, with slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def layer(self) -> str:
        """The top-level folder it lies in."""
        return self.path.partition("/")[0]

    def functions(self) -> Iterator[FunctionNode]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, FunctionNode))

    def imports(self) -> Iterator[tuple[str, ast.stmt]]:
        """Every imported name in full (`from a import b` is `a.b`), with its statement."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)

    def dotted(self) -> Iterator[tuple[str, int]]:
        """Every dotted expression (`os.environ.get`), with its line; calls within are written `()`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                yield dotted_name(node), node.lineno


@dataclass(frozen=True, slots=True)
class Sources:
    """A set of modules, by dotted name, and of other text files, by path."""

    modules: Mapping[str, Module]
    texts: Mapping[str, str]

    def under(self, *prefixes: str) -> Iterator[Module]:
        """Modules whose path begins with one of `prefixes`."""
        return (module for module in self.modules.values() if module.path.startswith(prefixes))

    def arrows(self, module: Module) -> set[str]:
        """The modules of this tree that `module` imports."""
        names = (name for name, _ in module.imports())
        found = {self.owner(name) for name in names} - {None, module.name}
        return {name for name in found if name is not None}

    def owner(self, imported: str) -> str | None:
        """The module of this tree that an imported name is, or is taken from."""
        if imported in self.modules:
            return imported
        stem = imported.rpartition(".")[0]
        return stem if stem in self.modules else None


def parse(texts: Mapping[str, str]) -> Sources:
    """Sources from texts by path."""
    python = sorted(item for item in texts.items() if item[0].endswith(".py"))
    modules = (Module(path, text, ast.parse(text, path)) for path, text in python)
    return Sources(
        {module.name: module for module in modules},
        {path: text for path, text in texts.items() if not path.endswith(".py")},
    )


def read_sources(root: Path, folders: tuple[str, ...]) -> Sources:
    """Every text file in `folders` of `root`, and those that lie in `root` itself."""
    inside = (path for folder in folders for path in (root / folder).rglob("*"))
    files = (path for path in (*root.iterdir(), *inside) if path.name in _TEXT_NAMES or path.suffix in _TEXT_SUFFIXES)
    return parse({path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files})


def dotted_name(node: ast.expr) -> str:
    """`a.b.c` for attributes of names; `f().c` for attributes of calls; `?.c` for anything else."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{dotted_name(node.value)}.{node.attr}"
        case ast.Call():
            return f"{dotted_name(node.func)}()"
        case _:
            return "?"


def body_lines(function: FunctionNode) -> int:
    """Lines from `def` to the end, without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    spoken = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - spoken


def complexity(function: FunctionNode) -> int:
    """McCabe's number, with each further `and` or `or` as a branch; the rows of a `match` count as one table."""
    nodes = list(ast.walk(function))
    operators = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    return 1 + sum(isinstance(node, _BRANCHES) for node in nodes) + operators


def parameters(function: FunctionNode) -> int:
    """How many a caller has to think of: all but self and cls."""
    spec = function.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def in_cycles(graph: Mapping[str, set[str]]) -> list[str]:
    """Every node from which a path leads back to itself."""
    return sorted(node for node in graph if node in _reach(graph, node))


def _reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph.get(node, ())
    return seen
