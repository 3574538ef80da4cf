"""Declared is used: what a catalogue of the program names, some code outside the catalogue produces or reads.

A log event that is never logged, a metric that nothing counts, a label's value that nothing gives, a reason that nothing ends
for, a topic that nobody touches or a setting that nobody reads is a promise that is not kept. The rules read the sources and run
nothing, so they see that a name is used, not that the line is ever reached: tests have to show that.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import Final, TypeGuard

from tests.pure.architecture.source_tree import Module, Sources

PRODUCT: Final = ("broker/", "streams/", "schemas/")

LOG: Final = "streams/runtime/events.py"
EXITS: Final = "streams/runtime/exits.py"
METRICS: Final = "streams/runtime/metrics.py"
ZEROES: Final = "streams/runtime/zeroes.py"
REASONS: Final = "schemas/reasons.py"
TOPICS: Final = "schemas/topics.py"
SETTINGS: Final = "streams/runtime/settings.py"
KAFKA_SETTINGS: Final = "streams/runtime/kafka_settings.py"

_TELLS_OF_REASONS: Final = (
    REASONS,
    "broker/consequences.py",
    "broker/lifecycle.py",
    "broker/audit/",
    "broker/explain/",
    "streams/runtime/metrics.py",
    "streams/runtime/zeroes.py",
)
"""What says what a reason means or leads to, and ends nothing for it."""

_FAMILIES: Final = frozenset({"Counter", "Gauge", "Histogram"})
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})
_FOREIGN: Final[Mapping[str, str]] = {
    "CURRENCY": "currencies are words of operators' price cards; those that are not listed are counted as `other`",
    "REPLY": "kinds of replies are words of the gateway's; those that are not listed are counted as `other`",
}
"""Labels whose values come from outside, with the reason; ``Label.known`` lets the listed ones pass."""


def every_log_event_is_logged(sources: Sources) -> Iterator[str]:
    """Each name of the list of events is logged somewhere, by itself or as the last line of an exit that something takes."""
    declared = _declared(sources, LOG, "Event")
    used = _attributes(sources, "Event", but={"Event", "WARNINGS"}, of=LOG)
    said = _logged_words(sources)
    exits = {f"EXIT_{name}" for name in _attributes(sources, "Exit", but={"Exit", "_MEANINGS"}, of=EXITS)}
    for name, (line, word) in declared.items():
        if name not in used | exits and word not in said:
            yield f"{LOG}:{line} {name} is never logged"


def every_metric_is_counted(sources: Sources) -> Iterator[str]:
    """Each metric of the catalogue is given a value; to begin it at nought is not enough."""
    counted = _counted(sources)
    for name, (line, _) in _metrics(sources).items():
        if name not in counted:
            yield f"{METRICS}:{line} {name} is never counted"


def every_label_value_is_given(sources: Sources) -> Iterator[str]:
    """Each value that a label lists word for word is written where a metric with that label is counted, or next to there."""
    users = _counted(sources)
    labelled = _metrics(sources)
    arrows = {name: sources.arrows(module) for name, module in sources.modules.items()}
    words = {
        module.name: frozenset(_words_of(module))
        for module in sources.under(*PRODUCT)
        if module.path not in {METRICS, ZEROES}
    }
    for label, (line, values) in _labels(sources).items():
        modules = {place for name, (_, labels) in labelled.items() if label in labels for place in users.get(name, ())}
        given = frozenset().union(*(words.get(name, ()) for name in _near(arrows, modules)))
        for value in values:
            if label not in _FOREIGN and value not in given:
                yield f"{METRICS}:{line} {label} has the value {value}, which nothing gives"


def every_reason_is_given(sources: Sources) -> Iterator[str]:
    """Each state and reason is given to a message, request or record by code that decides, not only by what explains it."""
    for owner in ("State", "Reason"):
        given = _attributes(sources, owner, skip=_TELLS_OF_REASONS)
        for name, (line, _) in _declared(sources, REASONS, owner).items():
            if name not in given:
                yield f"{REASONS}:{line} {owner}.{name} is never given"


def every_topic_is_used(sources: Sources) -> Iterator[str]:
    """Each topic of the catalogue is written or read by some stage or command."""
    module = _module(sources, TOPICS)
    if module is None:
        return
    used = {name for other in sources.under("broker/", "streams/") for name in _names_taken(other, "topics")}
    for name, line in _topics(module):
        if name not in used:
            yield f"{TOPICS}:{line} {name} is a topic that nobody uses"


def every_setting_is_read(sources: Sources) -> Iterator[str]:
    """Each setting is read somewhere, if only by a method of the settings that others ask."""
    read = {
        node.attr
        for other in sources.under(*PRODUCT)
        for node in ast.walk(other.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    for path, name in ((SETTINGS, "Settings"), (KAFKA_SETTINGS, "KafkaSettings")):
        module = _module(sources, path)
        for node in [] if module is None else _class(module, name):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id not in read:
                yield f"{path}:{node.lineno} {node.target.id} is a setting that nobody reads"


# -- what is declared


def found_in(sources: Sources) -> Mapping[str, Collection[object]]:
    """Returns what the rules take for declared, by catalogue."""
    topics, settings = _module(sources, TOPICS), _module(sources, SETTINGS)
    return {
        "log events": _declared(sources, LOG, "Event"),
        "metrics": _metrics(sources),
        "labels": _labels(sources),
        "states": _declared(sources, REASONS, "State"),
        "reasons": _declared(sources, REASONS, "Reason"),
        "topics": [] if topics is None else list(_topics(topics)),
        "settings": [] if settings is None else _class(settings, "Settings"),
    }


def _module(sources: Sources, path: str) -> Module | None:
    return next((module for module in sources.modules.values() if module.path == path), None)


def _class(module: Module, name: str) -> list[ast.stmt]:
    return next((node.body for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name == name), [])


def _declared(sources: Sources, path: str, owner: str) -> dict[str, tuple[int, object]]:
    """Returns the members of an enumeration: name to its line and value."""
    module = _module(sources, path)
    return {
        node.targets[0].id: (node.lineno, node.value.value)
        for node in ([] if module is None else _class(module, owner))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def _metrics(sources: Sources) -> dict[str, tuple[int, frozenset[str]]]:
    """Returns the metrics of the catalogue: name to its line and the names of its labels."""
    return {
        name: (call.lineno, frozenset(arg.id for arg in call.args if isinstance(arg, ast.Name)))
        for name, call in _assigned_calls(sources)
        if isinstance(call.func, ast.Name) and call.func.id in _FAMILIES
    }


def _labels(sources: Sources) -> dict[str, tuple[int, list[str]]]:
    """Returns the labels whose values are listed: name to its line and those that are written word for word."""
    return {
        name: (call.lineno, list(_words_in(call.args[1])))
        for name, call in _assigned_calls(sources)
        if isinstance(call.func, ast.Name) and call.func.id == "Label" and isinstance(call.args[1], ast.Tuple)
    }


def _assigned_calls(sources: Sources) -> Iterator[tuple[str, ast.Call]]:
    module = _module(sources, METRICS)
    for node in [] if module is None else module.tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            yield node.target.id, node.value


def _topics(module: Module) -> Iterator[tuple[str, int]]:
    """Returns the names of the functions and constants that the catalogue's topics are made of."""
    made = {_maker(call.args[0]) for call in ast.walk(module.tree) if _is_topic(call)}
    for node in module.tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.FunctionDef(name=name) if name in made:
                yield name, node.lineno
            case _:
                pass


def _is_topic(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Topic" and bool(node.args)
    )


def _maker(name: ast.expr) -> str:
    """Returns ``X`` of ``Topic(X, ...)`` and of ``Topic(X(lane), ...)``."""
    match name:
        case ast.Name(id=maker) | ast.Call(func=ast.Name(id=maker)):
            return maker
        case _:
            return ""


# -- what is used


def _attributes(
    sources: Sources, owner: str, *, but: set[str] | None = None, of: str = "", skip: tuple[str, ...] = ()
) -> set[str]:
    """Returns every ``X`` of an ``owner.X`` in the product, without the statements ``but`` of the file ``of``."""
    return {
        part.attr
        for module in sources.under(*PRODUCT)
        if not module.path.startswith(skip or ("\0",))
        for statement in module.tree.body
        if not (module.path == of and _name_of(statement) in (but or set()))
        for part in ast.walk(statement)
        if isinstance(part, ast.Attribute)
        and (
            (isinstance(part.value, ast.Name) and part.value.id == owner)
            or (isinstance(part.value, ast.Attribute) and part.value.attr == owner)
        )
    }


def _name_of(statement: ast.stmt) -> str:
    match statement:
        case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _logged_words(sources: Sources) -> set[object]:
    """Returns the event names that are given word for word to a logger's method."""
    return {
        call.args[0].value
        for module in sources.under("streams/")
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _LEVELS
        if call.args and isinstance(call.args[0], ast.Constant)
    }


def _counted(sources: Sources) -> dict[str, set[str]]:
    """Returns for each metric the modules that ask it for a child, or hand it on; those that begin it are left out."""
    found: dict[str, set[str]] = {}
    for module in sources.under("streams/"):
        if module.path not in {METRICS, ZEROES}:
            for name in _names_taken(module, "metrics"):
                found.setdefault(name, set()).add(module.name)
    return found


def _names_taken(module: Module, source: str) -> set[str]:
    """Returns what a module uses of the module ``source``: ``source.x``, and ``x`` where it was imported from there."""
    imported = {
        alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.rpartition(".")[2] == source
        for alias in node.names
    }
    attributes = {
        node.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == source
    }
    return attributes | imported


def _near(arrows: Mapping[str, set[str]], names: set[str]) -> set[str]:
    """Returns some modules, those that import them, and what either imports."""
    near = names | {name for name, imported in arrows.items() if names & imported}
    return near.union(*(arrows[name] for name in near))


def _words_of(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Constant(value=str(word)):
                yield word
            case ast.keyword(arg=str(word)):
                yield word
            case ast.AnnAssign(target=ast.Name(id=word)):
                yield word
            case _:
                pass


def _words_in(listed: ast.expr) -> Iterator[str]:
    for part in ast.walk(listed):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


DECLARED_RULES: Final = (
    every_log_event_is_logged,
    every_metric_is_counted,
    every_label_value_is_given,
    every_reason_is_given,
    every_topic_is_used,
    every_setting_is_read,
)
