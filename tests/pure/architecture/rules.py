"""The rules about the shape of the program that a program can check. A rule gives one line for each breach.

Which way imports point, and who may import the libraries of Kafka, stands in pyproject.toml as contracts of import-linter.
"""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.pure.architecture.source_tree import (
    Module,
    Sources,
    body_lines,
    complexity,
    dotted_name,
    in_cycles,
    parameters,
)

Rule = Callable[[Sources], Iterator[str]]

PRODUCT: Final = ("broker/", "streams/", "schemas/")
CLOCK: Final = "streams/runtime/clock.py"
ENVIRONMENT: Final = "streams/runtime/settings.py"
CLIENTS: Final = "streams/kafka/clients.py"
COMMANDS: Final = "streams/commands/"
DESCRIBED: Final = (*PRODUCT, "deploy/reference/")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PURE_LIBRARIES: Final = frozenset({"msgspec", "numpy", "pyroaring", "phonenumbers", "schemas", "broker"})
_PURE_STANDARD: Final = _words(
    "abc array base64 binascii bisect collections contextlib dataclasses datetime decimal difflib enum fractions functools "
    "hashlib heapq hmac itertools math operator re string struct types typing unicodedata zlib zoneinfo"
)
_PURE_NAMES: Final = frozenset({"sys.intern"})
_IMPURE_CALLS: Final = frozenset({"open", "print", "input", "eval", "exec", "breakpoint", "__import__"})
_SCHEMAS_MAY_NOT: Final = _words(
    "aiohttp asyncio logging os prometheus_client random requests secrets socket structlog subprocess threading time uuid"
)

_CLOCKS: Final = re.compile(
    r"^time\.(time|monotonic|perf_counter|process_time|thread_time|clock_gettime)(_ns)?$"
    r"|^time\.(localtime|gmtime|ctime)$"
    r"|^(datetime\.)?(datetime|date)\.(now|utcnow|today)$"
    r"|(^|\.)(loop|get_running_loop\(\)|get_event_loop\(\))\.time$"
)
_CLIENTS_OF_KAFKA: Final = frozenset(
    {
        "AIOKafkaConsumer",
        "AIOKafkaProducer",
        "AIOKafkaAdminClient",
        "AIOKafkaClient",
        "create_conn",
        "NewTopic",
        "TopicPartition",
    }
)
"""What comes into Kafka, or names something there."""
_ENVIRONMENTS: Final = re.compile(r"^os\.(environb?|getenvb?|putenv|unsetenv)(\.|$)")
_CITATIONS: Final = re.compile(r"https?://\S+|(?P<page>\w[\w./-]*\.md)\b")
_OPENERS: Final = re.compile(r"\s*(What|One|Whether|How)\b")
_MEASURED: Final = re.compile(r"_(ms|s|bytes|micro)$")
_LEFTOVERS: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

_MODULE_LINES: Final = 300
_FUNCTION_LINES: Final = 50
_COMPLEXITY: Final = 10
_PARAMETERS: Final = 6


def there_are_no_cycles(sources: Sources) -> Iterator[str]:
    """No module imports itself by way of others."""
    graph = {module.name: sources.arrows(module) for module in sources.modules.values()}
    yield from (f"{name} is in an import cycle" for name in in_cycles(graph))


def the_broker_is_pure(sources: Sources) -> Iterator[str]:
    """Only what computes is imported; nothing waits, reads, prints or draws lots."""
    for module in sources.under("broker/"):
        for name, node in module.imports():
            if name.partition(".")[0] not in _PURE_LIBRARIES | _PURE_STANDARD and name not in _PURE_NAMES:
                yield f"{module.path}:{node.lineno} imports {name}"
        for part in ast.walk(module.tree):
            if isinstance(part, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                yield f"{module.path}:{part.lineno} is asynchronous"
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in _IMPURE_CALLS:
                yield f"{module.path}:{part.lineno} calls {part.func.id}"
        yield from (
            f"{module.path}:{line} draws lots with {name}"
            for name, line in module.dotted()
            if name.startswith(("np.random.", "numpy.random."))
        )


def schemas_touch_nothing_outside(sources: Sources) -> Iterator[str]:
    """Names and formats need no clock, environment, network, log or lot."""
    for module in sources.under("schemas/"):
        for name, node in module.imports():
            if name.partition(".")[0] in _SCHEMAS_MAY_NOT:
                yield f"{module.path}:{node.lineno} imports {name}"


def one_module_builds_clients_of_kafka(sources: Sources) -> Iterator[str]:
    """Ways in and prefixes are added in streams/kafka/clients.py; whoever goes to Kafka takes settings.kafka, which has both."""
    for module in sources.under(*PRODUCT):
        if module.path == CLIENTS:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = dotted_name(node.func).rpartition(".")[2]
                if called in _CLIENTS_OF_KAFKA:
                    yield f"{module.path}:{node.lineno} builds {called}; streams/kafka/clients.py does"
        if not module.path.startswith("streams/dev/"):
            yield from (
                f"{module.path}:{line} goes to settings.bootstrap without a way in; settings.kafka has it"
                for name, line in module.dotted()
                if name.endswith("settings.bootstrap")
            )


def one_module_reads_the_clock(sources: Sources) -> Iterator[str]:
    """Everything else is given the time, or asks streams/runtime/clock.py."""
    yield from _uses(sources, _CLOCKS, but=CLOCK)


def one_module_reads_the_environment(sources: Sources) -> Iterator[str]:
    """Everything else is given what it needs, or asks streams/runtime/settings.py."""
    yield from _uses(sources, _ENVIRONMENTS, but=ENVIRONMENT)


def imports_stand_at_the_top(sources: Sources) -> Iterator[str]:
    """An import in a function or a branch hides an arrow."""
    for module in sources.modules.values():
        top = set(map(id, module.tree.body))
        for name, node in module.imports():
            if id(node) not in top:
                yield f"{module.path}:{node.lineno} imports {name} below the top level"


def everything_has_a_bearable_size(sources: Sources) -> Iterator[str]:
    """Modules up to 300 lines; functions up to 50, of complexity up to 10, with up to six parameters.

    An option of a command line is a parameter of its function, so commands may have more.
    """
    commands = {module.path for module in sources.under(COMMANDS)}
    for module in sources.under(*PRODUCT):
        lines = module.text.count("\n")
        if lines > _MODULE_LINES:
            yield f"{module.path} has {lines} lines"
        for function in module.functions():
            place = f"{module.path}:{function.lineno} {function.name}"
            if body_lines(function) > _FUNCTION_LINES:
                yield f"{place} has {body_lines(function)} lines"
            if complexity(function) > _COMPLEXITY:
                yield f"{place} has complexity {complexity(function)}"
            if parameters(function) > _PARAMETERS and module.path not in commands:
                yield f"{place} has {parameters(function)} parameters"


def every_module_says_what_it_owns(sources: Sources) -> Iterator[str]:
    """A docstring opens every module."""
    for module in sources.modules.values():
        if ast.get_docstring(module.tree) is None:
            yield f"{module.path} has no docstring"


def docstrings_open_with_a_verb(sources: Sources) -> Iterator[str]:
    """A docstring states what is done, or what a field means: "what", "one", "whether" and "how" do not begin it."""
    for module in sources.under(*DESCRIBED):
        for line, text in _docstrings(module):
            if opener := _OPENERS.match(text):
                yield f"{module.path}:{line} opens with {opener[1]}"


def measured_fields_are_described(sources: Sources) -> Iterator[str]:
    """A field that ends in a unit is described: since when, of what, and what 0 stands for. A setting is by its own text."""
    for module in sources.under(*PRODUCT):
        for owner in (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)):
            for field, after in zip(owner.body, [*owner.body[1:], None], strict=True):
                if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                    continue
                described = _is_text(after) or (field.value is not None and "description=" in ast.unparse(field.value))
                if _MEASURED.search(field.target.id) and not described:
                    yield f"{module.path}:{field.lineno} {owner.name}.{field.target.id} is not described"


def nothing_is_left_for_later(sources: Sources) -> Iterator[str]:
    """Words that promise work are not in the product."""
    for module in sources.under(*PRODUCT):
        for number, line in enumerate(module.text.splitlines(), start=1):
            if _LEFTOVERS.search(line):
                yield f"{module.path}:{number} {line.strip()}"


def every_cited_page_is_there(sources: Sources) -> Iterator[str]:
    """A reader has the repository and nothing else: a page that a text or a docstring names lies in it."""
    pages = [f"/{path}" for path in sources.texts]
    modules = {module.path: module.text for module in sources.modules.values()}
    for path, text in {**sources.texts, **modules}.items():
        for number, line in enumerate(text.splitlines(), start=1):
            cited = {found["page"] for found in _CITATIONS.finditer(line)} - {None}
            missing = [page for page in cited if not any(known.endswith(f"/{page}") for known in pages)]
            yield from (f"{path}:{number} cites {page}, which is not there" for page in missing)


def tests_use_the_real_thing(sources: Sources) -> Iterator[str]:
    """No mock, no patch, no fixed sleep; pure tests and format tests need no Kafka."""
    for module in sources.under("tests/"):
        for name, node in module.imports():
            if name.startswith(("unittest.mock", "mock", "pytest_mock")) or name == "time.sleep":
                yield f"{module.path}:{node.lineno} imports {name}"
        yield from (f"{module.path}:{line} sleeps" for name, line in module.dotted() if name == "time.sleep")
        yield from _asked_fixtures(module, {"monkeypatch", "mocker"})
    for module in sources.under("tests/pure/", "tests/contract/"):
        yield from _asked_fixtures(module, {"kafka", "make_topic"})


def _docstrings(module: Module) -> Iterator[tuple[int, str]]:
    """Texts that stand by themselves, with their lines: of modules, classes, functions and fields."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def _is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _asked_fixtures(module: Module, names: set[str]) -> Iterator[str]:
    for function in module.functions():
        for argument in function.args.args:
            if argument.arg in names:
                yield f"{module.path}:{function.lineno} {function.name} asks for {argument.arg}"


def _uses(sources: Sources, what: re.Pattern[str], *, but: str) -> Iterator[str]:
    for module in sources.under(*PRODUCT):
        if module.path != but:
            imported = ((name, node.lineno) for name, node in module.imports() if isinstance(node, ast.ImportFrom))
            for name, line in (*imported, *module.dotted()):
                if what.search(name):
                    yield f"{module.path}:{line} uses {name}"


RULES: Final[tuple[Rule, ...]] = (
    there_are_no_cycles,
    the_broker_is_pure,
    schemas_touch_nothing_outside,
    one_module_builds_clients_of_kafka,
    one_module_reads_the_clock,
    one_module_reads_the_environment,
    imports_stand_at_the_top,
    everything_has_a_bearable_size,
    every_module_says_what_it_owns,
    docstrings_open_with_a_verb,
    measured_fields_are_described,
    nothing_is_left_for_later,
    every_cited_page_is_there,
    tests_use_the_real_thing,
)
