"""Changes the pure code in small ways, one at a time, and tells which changes no unit test notices.

A runner of its own, for the sake of time: it compiles a mutant in memory, in a fork of a process that has imported everything
else, and runs only the tests that execute the changed lines, the quickest first. All three thousand mutants take about twenty
minutes on two cores; a process for each would take hours. Nothing is written but a temporary copy of the package and its tests,
so edits meanwhile do no harm.

Not mutated, since no test can or should tell: docstrings, annotations, `type` statements and `cast`s; imports and what is under
`TYPE_CHECKING`; `__all__`; decorators (sizes of caches, slots); texts in `raise` statements (their wording is free); and the
lines of `EXCLUDED`, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from bisect import bisect_right
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coverage
import pytest
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
PACKAGE = "addons/ollama_openai_proxy"
TARGETS = (f"{PACKAGE}/translate", f"{PACKAGE}/fix/method_map.py")
TESTS = ("tests/unit/translate", "tests/unit/fix")
MOST_SURVIVORS = 0.1
DESCRIPTION = """\
Mutates translate/ and fix/method_map.py, one place at a time, and runs the unit tests that execute it.
Prints how many mutants were killed, survived or ran out of time (these count as killed), and each
survivor as a diff. Exit status: 0; 1 if 10 % or more survive; 2 if it could not be tried.
"""

EXCLUDED: dict[str, dict[str, str]] = {
    f"{PACKAGE}/translate/ollama/chat_messages.py": {
        r'(b"\xff\xd8\xff", "image/jpeg"),': "What is not recognised is sent as a JPEG, too.",
    },
    f"{PACKAGE}/translate/openai_responses/event_writer.py": {
        "self._logprobs = []": "An item of thinking takes them next, and leaves them out.",
    },
    f"{PACKAGE}/translate/think_tags.py": {
        'if self._state == "content":': "A short way for what the rest of the method does as well, only slower.",
        "begun = next((n for n in range(len(CLOSING) - 1, 0, -1) if text.endswith(CLOSING[:n])), 0)": (
            "Further lengths are tried in vain: a whole tag was cut off before."
        ),
    },
}
"""File and line, as it stands there without its indentation: why its mutants are equivalent. A missing line is an error."""

_SWAPS: dict[type[ast.AST], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.In: "not in", ast.NotIn: "in",
    ast.Is: "is not", ast.IsNot: "is", ast.And: "or", ast.Or: "and", ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*",
    ast.FloorDiv: "/", ast.Mod: "*", ast.Pow: "*", ast.BitOr: "&", ast.BitAnd: "|", ast.LShift: ">>", ast.RShift: "<<",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the bytes of a file from `start` to `end` become `text`; `lines` run it, none if it runs at import."""

    file: str
    start: int
    end: int
    text: str
    lines: range

    def source(self, source: bytes) -> bytes:
        """The file with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """The change, to be read."""
        old, new = source.decode().splitlines(), self.source(source).decode().splitlines()
        lines = list(difflib.unified_diff(old, new, self.file, self.file, lineterm="", n=1))
        return "\n".join(lines)


class Mutator:
    """Finds the mutants of one file."""

    def __init__(self, file: str, source: bytes) -> None:
        self._file, self._source = file, source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        texts = [line.strip() for line in source.decode().splitlines()]
        excluded = EXCLUDED.get(file, {})
        if gone := [text for text in excluded if text not in texts]:
            raise SystemExit(f"scripts/mutate: {file} has no line {gone[0]!r} any more: correct EXCLUDED.")
        self._left_out = {number for number, text in enumerate(texts, 1) if text in excluded}

    def mutants(self) -> list[Mutant]:
        """All of them, in the order of the file."""
        return sorted(self._walk(ast.parse(self._source), None, within=False), key=lambda mutant: (mutant.start, mutant.text))

    def _walk(self, node: ast.AST, statement: ast.stmt | None, *, within: bool, wording: bool = False) -> Iterator[Mutant]:
        """Those of a node and all below: of which statement, whether within a function, whether its texts are free."""
        match node:
            case ast.Import() | ast.ImportFrom() | ast.TypeAlias() | ast.Expr(value=ast.Constant()):
                return
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign(targets=[ast.Name(id="__all__")]):
                return
        statement = node if isinstance(node, ast.stmt) else statement
        wording = wording or isinstance(node, ast.Raise)
        for start, end, text in self._changes(node, wording=wording):
            changed = range(bisect_right(self._starts, start), bisect_right(self._starts, end) + 1)
            lines = range(statement.lineno, (statement.end_lineno or 0) + 1) if isinstance(statement, _SIMPLE) else changed
            if not self._left_out.intersection(changed):
                yield Mutant(self._file, start, end, text, lines if within else range(0))
        body_within = within or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params", "bases", "format_spec"):
                continue
            children = value if isinstance(value, list) else [value]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast" and name == "args":
                children = children[1:]
            for child in children:
                if isinstance(child, ast.AST) and not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
                    yield from self._walk(child, statement, within=body_within if name == "body" else within, wording=wording)

    def _changes(self, node: ast.AST, *, wording: bool) -> Iterator[tuple[int, int, str]]:
        match node:
            case ast.Constant(value=bool(value)):
                yield *self._place(node), str(not value)
            case ast.Constant(value=int() | float() as value):
                yield *self._place(node), repr(value + 1)
            case ast.Constant(value=str()) | ast.JoinedStr() if not wording:
                yield *self._place(node), self._text(node) + ' "XX"'
            case ast.Constant(value=bytes()):
                yield *self._place(node), self._text(node) + ' b"XX"'
            case ast.Compare(left=left, ops=ops, comparators=rights):
                for before, op, after in zip([left, *rights], ops, rights, strict=False):
                    yield self._between(before, after, _SWAPS[type(op)])
            case ast.BoolOp(op=op, values=values):
                whole = f" {_SWAPS[type(op)]} ".join(f"({self._text(value)})" for value in values)
                yield *self._place(node), f"({whole})"
            case ast.BinOp(left=left, op=op, right=right) if (
                not isinstance(node.left, ast.Constant | ast.JoinedStr) or not wording
            ):
                yield *self._place(node), f"(({self._text(left)}) {_SWAPS[type(op)]} ({self._text(right)}))"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield *self._place(node), f"({self._text(operand)})"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield *self._place(node), f"({self._text(operand)})"
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._negated(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._negated(test)
            case ast.match_case(guard=ast.expr() as guard):
                yield from self._negated(guard)
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield *self._place(value), "None"
            case ast.Break():
                yield *self._place(node), "continue"
            case ast.Continue():
                yield *self._place(node), "break"
            case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise():
                yield *self._place(node), "pass"
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple(), *_]):
                yield *self._place(node), "pass"
            case ast.Call(keywords=keywords):
                for keyword in keywords:
                    if keyword.arg is not None:
                        start, end = self._place(keyword)
                        rest = self._source[end:]
                        # With its comma, if one follows.
                        yield start, end + (len(rest) - len(rest.lstrip(b", \n")) if rest.startswith(b",") else 0), ""

    def _negated(self, test: ast.expr) -> Iterator[tuple[int, int, str]]:
        # A comparison and `not` have mutants that do the same.
        if not isinstance(test, ast.UnaryOp) and not (isinstance(test, ast.Compare) and len(test.ops) == 1):
            yield *self._place(test), f"(not ({self._text(test)}))"

    def _between(self, before: ast.expr, after: ast.expr, op: str) -> tuple[int, int, str]:
        start, end = self._place(before)[1], self._place(after)[0]
        # Parentheses around the sides stand there, too.
        closing = self._source[start:end].count(b")") * ")"
        opening = self._source[start:end].count(b"(") * "("
        return start, end, f"{closing} {op} {opening}"

    def _place(self, node: Any) -> tuple[int, int]:
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, end = self._place(node)
        return self._source[start:end].decode()


_PLUGINS = ("anyio.pytest_plugin", "_hypothesis_pytestplugin")
# The plugins are imported before, once for all mutants.
_QUIETLY = ("-q", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_ARGUMENTS = (*_QUIETLY, *(word for name in _PLUGINS for word in ("-p", name)))
_SIMPLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Raise, ast.Delete, ast.Assert)


class Chosen:
    """A pytest plugin: certain tests, in a certain order, with fewer examples; notes what each of them executes."""

    def __init__(self, tests: Sequence[str] | None = None, tracer: coverage.Coverage | None = None) -> None:
        self._order = {test: number for number, test in enumerate(tests)} if tests is not None else None
        self._tracer = tracer
        self.durations: dict[str, float] = {}

    def pytest_sessionstart(self) -> None:
        """No shrinking, and the same examples each time."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", settings.default, max_examples=40, derandomize=True, phases=phases)
        settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose them."""
        if (order := self._order) is not None:
            items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note the time and the lines."""
        if self._tracer:
            self._tracer.switch_context(item.nodeid)
        begun = time.monotonic()
        try:
            return (yield)
        finally:
            self.durations[item.nodeid] = time.monotonic() - begun


class Replacement(SourceFileLoader):
    """Imports one module from changed source."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._changed = source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Only that module's."""
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002
        """The changed code; nothing is cached."""
        return compile(self._changed, self.path, "exec", dont_inherit=True)


class Runner:
    """Runs the tests in forks of this process, from a copy of the checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._covering: dict[str, dict[int, list[str]]] = {}
        self._durations: dict[str, float] = {}

    def prepare(self) -> None:
        """Import what does not depend on the mutated code, run all tests once, and once more as mutants are run."""
        os.chdir(self._folder)
        # Compiled once, in the copy; and of pytest's plugins only those that the tests need.
        sys.dont_write_bytecode, sys.pycache_prefix = False, None
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        # The SDK: by the path below, addons/ollama.py would be found in its place.
        for name in (*_PLUGINS, "ollama"):
            __import__(name)
        sys.path[:0] = [str(self._folder / "addons"), str(self._folder)]
        schemas = self._folder / PACKAGE / "schemas"
        for path in sorted(schemas.rglob("*.py")):
            module = ".".join(path.relative_to(schemas).with_suffix("").parts)
            __import__(f"ollama_openai_proxy.schemas.{module}".removesuffix(".__init__"))
        if any(name.startswith("ollama_openai_proxy.translate") for name in sys.modules):
            raise SystemExit("scripts/mutate: schemas/ imports translate/: its modules would not be mutated.")
        notes = self._folder / "notes.json"
        pid = self._fork(lambda: self._trace(notes), limit=600)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise SystemExit("scripts/mutate: the tests fail without any mutant: run scripts/test --quick.")
        noted = json.loads(notes.read_text())
        for name in noted["modules"]:
            with contextlib.suppress(ImportError):
                __import__(name)
        gc.freeze()
        self._durations = noted["durations"]
        self._covering = {file: {int(line): tests for line, tests in at.items()} for file, at in noted["covering"].items()}

    def start(self, mutant: Mutant, source: bytes) -> tuple[int, float] | None:
        """The process that tries a mutant, and when to end it; None if no test executes it."""
        tests = self.tests(mutant)
        if mutant.start == mutant.end:
            tests = tests[:20]
        if not tests:
            return None
        name = mutant.file.removeprefix("addons/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        replacement = Replacement(name, str(self._folder / mutant.file), mutant.source(source))
        limit = 10 + 5 * int(sum(self._durations[test] for test in tests))
        return self._fork(lambda: self._try(replacement, tests), limit=limit), time.monotonic() + limit

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests that execute the lines of a mutant; at import, all beside one that executes its file. Quickest first."""
        covering = self._covering.get(mutant.file, {})
        found = {test for line in mutant.lines or covering for test in covering.get(line, ())}
        # The empty name is the time before the first test.
        if not mutant.lines or "" in found:
            found = {test for tests in covering.values() for test in tests if test}
            # A test may read a constant without executing a line there.
            files = {test.partition("::")[0] for test in found}
            found = {test for test in self._durations if test.partition("::")[0] in files}
        return sorted(found, key=lambda test: (self._durations[test], test))

    def _trace(self, notes: Path) -> int:
        include = [f"{self._folder}/{target}{'' if target.endswith('.py') else '/*'}" for target in TARGETS]
        tracer = coverage.Coverage(data_file=None, config_file=False, include=include)
        plugin = Chosen(tracer=tracer)
        tracer.start()
        status = pytest.main([*_ARGUMENTS, *TESTS], plugins=[plugin])
        tracer.stop()
        data = tracer.get_data()
        covering = {
            str(Path(file).relative_to(self._folder)): dict(data.contexts_by_lineno(file)) for file in data.measured_files()
        }
        # The libraries' modules, which need not be imported for each mutant.
        modules = [name for name, it in sys.modules.items() if "site-packages" in (getattr(it, "__file__", None) or "")]
        notes.write_text(json.dumps({"durations": plugin.durations, "covering": covering, "modules": modules}))
        return int(status)

    def _try(self, replacement: Replacement, tests: list[str]) -> int:
        # A mutant may fill the memory.
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        sys.meta_path.insert(0, replacement)
        by_file: dict[str, list[str]] = {}
        for test in tests:
            by_file.setdefault(test.partition("::")[0], []).append(test)
        # The file with the most of them first: it mostly tells, and importing the others takes longest of all.
        first = max(by_file, key=lambda file: len(by_file[file]))
        others = [file for file in by_file if file != first]
        status = int(pytest.main([*_ARGUMENTS, first], plugins=[Chosen(tests)]))
        return status or (int(pytest.main([*_ARGUMENTS, *others], plugins=[Chosen(tests)])) if others else 0)

    def _fork(self, work: Any, limit: int) -> int:
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        status = 99
        try:
            os.setsid()
            # Also when nobody is left to end it.
            signal.alarm(limit + 5)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            status = work()
        finally:
            os._exit(status)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, metavar="N", help="only that many mutants, chosen at random")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which sample (default: 0)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time (default: one for each core)"
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders of these only")
    options = parser.parse_args()
    files = _files(options.paths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        ignore = shutil.ignore_patterns("__pycache__")
        for part in ("addons", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)
        sources = {file: (folder / file).read_bytes() for file in files}
        mutants = [mutant for file, source in sources.items() for mutant in Mutator(file, source).mutants()]
        whole = len(mutants)
        if options.sample is not None and options.sample < whole:
            mutants = random.Random(options.seed).sample(mutants, options.sample)
        runner = Runner(folder)
        runner.prepare()
        print(f"{len(mutants)} of {whole} mutants", flush=True)
        return _report(_outcomes(runner, mutants, sources, options.jobs), sources)


def _files(paths: list[str]) -> list[str]:
    every = [
        path for target in TARGETS for path in ([ROOT / target] if target.endswith(".py") else (ROOT / target).rglob("*.py"))
    ]
    wanted = [Path(path).resolve() for path in paths] or [ROOT]
    files = sorted(str(path.relative_to(ROOT)) for path in every if any(path.is_relative_to(it) for it in wanted))
    if not files:
        raise SystemExit(f"scripts/mutate: there is nothing to mutate: name files of {' or '.join(TARGETS)}.")
    return files


def _outcomes(runner: Runner, mutants: Sequence[Mutant], sources: dict[str, bytes], jobs: int) -> Iterator[tuple[Mutant, str]]:
    # The first ones are no mutants: each file as it is has to survive, or the others prove nothing.
    controls = [Mutant(file, 0, 0, "", range(0)) for file in sorted({mutant.file for mutant in mutants})]
    waiting, running = [*reversed([*controls, *mutants])], dict[int, tuple[Mutant, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            if (started := runner.start(mutant, sources[mutant.file])) is None:
                if mutant not in controls:
                    yield mutant, "survived"
            else:
                running[started[0]] = mutant, started[1]
        time.sleep(0.005)
        for pid, (mutant, deadline) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            late = not ended and time.monotonic() > deadline
            if late:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if ended or late:
                del running[pid]
                survived = ended and os.waitstatus_to_exitcode(status) == 0
                if mutant not in controls:
                    yield mutant, "survived" if survived else "timeout" if late else "killed"
                elif not survived:
                    raise SystemExit(f"scripts/mutate: the tests of {mutant.file} fail without any mutant.")


def _report(outcomes: Iterator[tuple[Mutant, str]], sources: dict[str, bytes]) -> int:
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    counts = {"killed": 0, "survived": 0, "timeout": 0}
    try:
        for mutant, outcome in outcomes:
            counts[outcome] += 1
            if outcome == "survived":
                print(mutant.diff(sources[mutant.file]), end="\n\n", flush=True)
    except KeyboardInterrupt:
        print("interrupted: there are more mutants.")
    number = sum(counts.values()) or 1
    share = counts["survived"] / number
    took = time.monotonic() - begun
    print(f"{counts['killed']} killed, {counts['survived']} survived, {counts['timeout']} timeouts in {took:.0f} s")
    print(f"share of survivors: {share:.1%}")
    return 1 if share >= MOST_SURVIVORS else 0


if __name__ == "__main__":
    sys.exit(main())
