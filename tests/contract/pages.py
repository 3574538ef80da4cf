"""The pages of the project as values: which there are, and what each rule finds wrong in one."""

import ast
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
Pages: TypeAlias = Mapping[str, str]
"""Path from the root, with slashes, to text."""
Rule: TypeAlias = Callable[[str, str], Iterator[str]]
"""Takes a page's path and text, yields a sentence for each thing that is wrong."""

README_LINES: Final = 150
COLUMNS: Final = 120
GLOSSARY: Final = "broker/GLOSSARY.md"
GLOSSARY_ROWS: Final = 40
"""Fewer rows than this: a word that needs explaining is a word too many."""
DECISIONS: Final = "deploy/docs/decisions"

_FOLDERS: Final = ("deploy/docs", "deploy/dev/examples", "deploy/prometheus", "deploy/runbooks")
_SINGLE: Final = ("README.md", GLOSSARY, "broker/PROTOCOL.md")
_GENERATED: Final = {
    name: (ROOT / "deploy" / name).read_text("utf-8") for name in ("CLI.md", "SETTINGS.md", "METRICS.md")
}

_DOCUMENTS: Final = {path.name.partition(".")[0] for path in (ROOT / "schemas" / "generated").glob("*.json")}
"""What `fanfare schema NAME` prints."""

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`((?:[^`\n]|\n(?!\n))+)`")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_PATH: Final = re.compile(r"(?<![\w./-])(?:schemas|broker|streams|deploy|tests)/[\w./*-]*")
_SETTING: Final = re.compile(r"FANFARE_[A-Z0-9_]*")
_METRIC: Final = re.compile(r"\bfanfare_[a-z0-9_]*\b(?!-)")
_MODULE: Final = re.compile(r"python -m (tests\.[\w.]+|schemas\.[\w.]+|deploy\.[\w.]+)([^`\n;|]*)")
_ENDS_A_COMMAND: Final = ("|", ";", "&&", ">", "<", "...", "#")


def read_pages() -> Pages:
    """Returns every page that is written by hand, the changelog left out: it tells of names that are gone."""
    found = [ROOT / name for name in _SINGLE]
    found += [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in found}


def broken_links(place: str, text: str) -> Iterator[str]:
    """Yields links whose file, or whose heading, is not there."""
    for target in _LINK.findall(_FENCED.sub("", text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = ROOT / place if not name else (ROOT / place).parent / name
        if not file.exists():
            yield f"{place}: {target} leads nowhere"
        elif anchor and anchor not in _anchors(text if not name else file.read_text("utf-8")):
            yield f"{place}: {target} names no heading"


def oversize(place: str, text: str) -> Iterator[str]:
    """Yields what is too long of the README, and lines of prose that are too long on any page of ours."""
    lines = text.splitlines()
    if place == "README.md" and len(lines) > README_LINES:
        yield f"{place}: {len(lines)} lines, at most {README_LINES}"
    if place == "README.md" or place.startswith("deploy/docs"):
        wide = [number for number, line in enumerate(lines, 1) if len(line) > COLUMNS]
        tables = place != "README.md"
        yield from (
            f"{place}:{number}: more than {COLUMNS} columns"
            for number in wide
            if not (tables and lines[number - 1].startswith(("|", "- [")))
        )


def unknown_commands(place: str, text: str) -> Iterator[str]:
    """Yields calls of ``fanfare`` that name a command or an option that CLI.md does not have."""
    known = _commands()
    for call in calls(text):
        words = call.removeprefix("fanfare ").split()
        command = " ".join(("fanfare", *words[:2]))
        if command not in known:
            command = f"fanfare {words[0]}"
        if command not in known:
            yield f"{place}: there is no command `{call}`"
            continue
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        yield from (f"{place}: `{call}` has no {option}" for option in sorted(options - known[command] - {"--help"}))
        subcommands = {name.split()[2] for name in known if name.startswith(f"{command} ")}
        further = words[len(command.split()) - 1 :]
        if subcommands and further and re.fullmatch(r"[a-z][a-z-]+", further[0]) and further[0] not in _DOCUMENTS:
            yield f"{place}: `{command}` has no command {further[0]}"


def unknown_programs(place: str, text: str) -> Iterator[str]:
    """Yields ``python -m`` of modules that are not there, their options that they do not have, and unknown targets of make."""
    for module, rest in _MODULE.findall("\n".join(_codes(text))):
        path = ROOT / module.strip(".").replace(".", "/")
        file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        if not file.is_file():
            yield f"{place}: there is no module {module}"
            continue
        source = file.read_text("utf-8")
        yield from (
            f"{place}: {module} has no {option}" for option in re.findall(r"--[a-z-]+", rest) if option not in source
        )
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for code in _codes(text):
        for target in re.findall(r"(?:^|\$ )make ([a-z]+)", code):
            if target not in targets:
                yield f"{place}: there is no `make {target}`"


def unknown_settings(place: str, text: str) -> Iterator[str]:
    """Yields variables that SETTINGS.md does not have. What ends with an underscore stands for all that begin so."""
    rows = re.findall(r"^\| `(FANFARE_\w+)` \| ([^|]+)\|", _GENERATED["SETTINGS.md"], re.MULTILINE)
    known = {name for name, _ in rows} | {f"{name}_FILE" for name, kind in rows if "secret" in kind}
    known |= set(
        re.findall(r"`(FANFARE_[A-Z]+)` (?:names|chooses)", _GENERATED["SETTINGS.md"])
    )  # where the others stand
    for name in _SETTING.findall(text):
        whole = name if not name.endswith("_") else next((each for each in known if each.startswith(name)), "")
        if whole not in known:
            yield f"{place}: there is no setting {name}"


def unknown_metrics(place: str, text: str) -> Iterator[str]:
    """Yields names of metrics that METRICS.md does not have; a beginning of some stands for all of them."""
    known = set(re.findall(r"^\| `(fanfare_\w+)` \|", _GENERATED["METRICS.md"], re.MULTILINE))
    names = "".join(path.read_text("utf-8") for path in (ROOT / "deploy").rglob("*.y*ml"))
    for name in _METRIC.findall(text):
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        if not any(each.startswith(stem) for each in known) and f"id: {name}" not in names:
            yield f"{place}: there is no metric {name}"


def missing_paths(place: str, text: str) -> Iterator[str]:
    """Yields paths of the project, in code, that are not there; they begin at the root, or beside the page."""
    for code in _codes(text):
        for found in _PATH.findall(code):
            path = found.rstrip("./")
            roots = (ROOT, (ROOT / place).parent)
            if not any(any(root.glob(name)) for root in roots for name in (path, f"{path}.py")):
                yield f"{place}: there is no {found}"


def broken_programs(place: str, text: str) -> Iterator[str]:
    """Yields Python on a page that does not compile, or imports what is not there."""
    for language, code in _FENCED.findall(text):
        if language != "python":
            continue
        try:
            tree = ast.parse(code)
        except SyntaxError as error:
            yield f"{place}: Python that does not compile: {error.msg}"
            continue
        yield from (f"{place}: {name} cannot be imported" for name in _imported(tree) if not _importable(name))


def wrong_glossary(place: str, text: str) -> Iterator[str]:
    """Yields why the glossary is too long, and words that are not found where it says that they live."""
    if place != GLOSSARY:
        return
    rows = re.findall(r"^\| (?!word \||---)([^|]+) \| [^|]+ \| `([^`]+)` \|$", text, re.MULTILINE)
    if len(rows) != sum(line.startswith("| ") for line in text.splitlines()) - 2:
        yield f"{place}: a row is not a word, a meaning and a path"
    if len(rows) >= GLOSSARY_ROWS:
        yield f"{place}: {len(rows)} rows, fewer than {GLOSSARY_ROWS} are wanted"
    for word, where in rows:
        file = ROOT / where
        if not file.is_file() or _bare(word.partition(" (")[0]) not in _bare(file.read_text("utf-8")):
            yield f"{place}: {word} is not found in {where}"


def undated_decisions(place: str, text: str) -> Iterator[str]:
    """Yields decisions without a date in name and text, without their paragraphs, or without a row in the overview."""
    if PurePosixPath(place).parent.as_posix() != DECISIONS or place.endswith("/README.md"):
        return
    name = PurePosixPath(place).name
    dated = re.match(r"(\d{4}-\d{2}-\d{2})-[a-z0-9-]+\.md$", name)
    if dated is None:
        yield f"{place}: a decision is called YYYY-MM-DD-in-words"
    elif f"\n\n{dated[1]}\n\n" not in text:
        yield f"{place}: its third line is not {dated[1]}"
    yield from (f"{place}: it has no paragraph {part}" for part in ("**Decided.**", "**Why.**") if part not in text)
    if f"]({name})" not in (ROOT / DECISIONS / "README.md").read_text("utf-8"):
        yield f"{place}: it is not in the overview"


def unreachable(pages: Pages) -> Iterator[str]:
    """Yields pages that no chain of links from the README reaches."""
    seen: set[str] = set()
    waiting = ["README.md"]
    while waiting:
        place = waiting.pop()
        if place in seen or place not in pages:
            continue
        seen.add(place)
        links = (target.partition("#")[0] for target in _LINK.findall(pages[place]) if "://" not in target)
        files = ((ROOT / place).parent / name for name in links if name)
        waiting += [file.resolve().relative_to(ROOT).as_posix() for file in files if file.exists()]
    yield from (f"{place} is reached from no page" for place in pages if place not in seen)


RULES: Final[tuple[Rule, ...]] = (
    broken_links,
    oversize,
    unknown_commands,
    unknown_programs,
    unknown_settings,
    unknown_metrics,
    missing_paths,
    broken_programs,
    wrong_glossary,
    undated_decisions,
)


def _anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands() -> dict[str, set[str]]:
    """Returns every command of CLI.md with its options; those of a group count for its commands, too."""
    _, *sections = re.split(r"^##+ (fanfare .+)$", _GENERATED["CLI.md"], flags=re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        cells = re.findall(r"^\| `(-[^`]*)` \|", text, re.MULTILINE)
        found[name] = {word.strip(",") for cell in cells for word in cell.split() if word.startswith("-")}
    return found


def _codes(text: str) -> Iterator[str]:
    """Yields what stands in code: lines of fenced blocks, continued ones joined, and spans."""
    for _, block in _FENCED.findall(text):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()
    yield from (" ".join(span.split()) for span in _CODE.findall(_FENCED.sub("", text)))


def calls(text: str) -> Iterator[str]:
    """Yields each call of ``fanfare`` in code, up to the end of the command, without what shells make of it."""
    for code in _codes(text):
        for start in re.finditer(r"(?:^|[\s|(])(fanfare [a-z][^`]*)", code):
            words: list[str] = []
            for word in start[1].split():
                words.append(word.rstrip(";|)"))
                if word in _ENDS_A_COMMAND or word.endswith((";", ")")):
                    break
            yield " ".join(word for word in words if word not in _ENDS_A_COMMAND)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _importable(name: str) -> bool:
    stem, _, last = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(stem), last) if stem else bool(importlib.import_module(name))
    except ImportError:
        return False


def _bare(text: str) -> str:
    return re.sub(r"[-_\s]", "", text.lower())
