"""Every regular expression of the package reads any text in linear time.

Texts of servers and bodies of clients are untrusted: a pattern with two ways to match the same text can take hours for a few
kilobytes. The steps are counted, not timed.
"""

import ast
import contextlib
import functools
import re
from pathlib import Path

import ollama_openai_proxy
import pytest

from .regex_steps import Matcher, TooManySteps, attacks, reach

type Pattern = tuple[str | bytes, int, bool]

ROOT = Path(ollama_openai_proxy.__file__).parent
CALLS = frozenset({"compile", "search", "match", "fullmatch", "sub", "split", "findall", "finditer"})
SHORTEST = 24
"""Characters of the shorter of two attacks, at least; more where a pattern has bounded gaps that reach further."""


@functools.cache
def modules() -> list[tuple[Path, str, ast.Module]]:
    """The modules that use regular expressions: path, source, and what it is parsed to."""
    sources = [(path, path.read_text()) for path in sorted(ROOT.rglob("*.py"))]
    return [(path, source, ast.parse(source)) for path, source in sources if re.search(r"\bre\.", source)]


def patterns() -> dict[str, Pattern]:
    """The patterns of all modules: text, flags, and whether each is only matched at the beginning of a text."""
    found: dict[str, Pattern] = {}
    for path, source, tree in modules():
        names = constants(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.args):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            for number, text in enumerate(texts(node.args[0], names)):
                found[f"{place}#{number}"] = (text, flags(node), is_anchored(node, tree, source))
    return found


def constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module's names stand for."""
    names: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            for text in texts(node.value, names, strict=False):
                if isinstance(text, str):
                    names[node.targets[0].id] = text
    return names


def texts(node: ast.expr, names: dict[str, str], *, strict: bool = True) -> list[str | bytes]:
    """The patterns that an expression gives; a name in a comprehension stands for each of its texts."""
    match node:
        case ast.Constant(value=str() | bytes() as text):
            return [text]
        case ast.JoinedStr(values=values):
            parts = []
            for value in values:
                inner = value.value if isinstance(value, ast.FormattedValue) else value
                known = texts(inner, names, strict=False)
                # What is put in at run time is a list of words.
                parts.append(str(known[0]) if len(known) == 1 else "(?:word|other)")
            return ["".join(parts)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = texts(left, names, strict=strict), texts(right, names, strict=strict)
            return [a + b for a in one for b in other]  # type: ignore[operator]  # both are of one type
        case ast.Name(id=name) if name in names:
            return [names[name]]
    return []


def flags(node: ast.Call) -> int:
    words = ast.unparse(node)
    return sum(getattr(re, name) for name in ("IGNORECASE", "DOTALL", "MULTILINE", "VERBOSE", "ASCII") if f"re.{name}" in words)


def is_anchored(node: ast.Call, tree: ast.Module, source: str) -> bool:
    assert isinstance(node.func, ast.Attribute)
    if node.func.attr in ("match", "fullmatch"):
        return True
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and statement.value is node and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            uses = set(re.findall(rf"\b{name}\.(\w+)\(", source)) & CALLS
            return bool(uses) and uses <= {"match", "fullmatch"}
    return False


def lists_of_patterns() -> dict[str, Pattern]:
    """The patterns in comprehensions, of which the texts stand beside `re.compile`."""
    found: dict[str, Pattern] = {}
    for path, _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ListComp) and "re.compile(" in ast.unparse(node.elt):
                for number, element in enumerate(getattr(node.generators[0].iter, "elts", [])):
                    for text in texts(element, {}):
                        found[f"{path.relative_to(ROOT)}:{node.lineno}#{number}"] = (text, re.IGNORECASE, False)
    return found


PATTERNS = patterns() | lists_of_patterns()


def test_the_patterns_of_the_package_are_found() -> None:
    assert len(PATTERNS) > 80
    compiled = sum(path.read_text().count("re.compile(") for path in ROOT.rglob("*.py"))
    assert compiled <= len(PATTERNS)


@pytest.mark.parametrize(("pattern", "how", "anchored"), PATTERNS.values(), ids=list(PATTERNS))
def test_the_steps_of_a_pattern_grow_with_the_length_of_the_text(pattern: str | bytes, how: int, anchored: bool) -> None:
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    matcher = Matcher(text, how)
    short = max(SHORTEST, 2 * reach(text, how))
    for before, part, after in attacks(text, how):
        counts = []
        repeats = max(short // len(part), 4)
        for times in (repeats, 2 * repeats):
            try:
                counts.append(matcher.count(before + part * times + after, anchored=anchored))
            except TooManySteps:
                pytest.fail(f"{before!r} + {part!r} * n takes more than {matcher.steps} steps for {times} times")
        assert counts[1] <= 2.7 * counts[0] + 200, f"{before!r} + {part!r} * n: {counts}"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 18 + "!"),
        (r"(?:[\s:,]|\b(?:a|an)\b)*x", "a, " * 6),
        (r"\w+:", "a" * 200),
        (r"\s*$", " " * 200 + "x"),
        (r"a.*b.*c", "ab" * 100),
    ],
)
def test_a_pattern_that_explodes_is_noticed(pattern: str, text: str) -> None:
    matcher = Matcher(pattern, 0, most=100_000)
    half, whole = (text[len(text) // 2 :], text)
    with contextlib.suppress(TooManySteps):
        assert matcher.count(whole, anchored=False) > 2.7 * matcher.count(half, anchored=False)


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        (r"(\w+)-\1", 0, "ab-ab x-y"),
        (r"(?<![\w.])\d{2,3}(?=px)", 0, "12px 1px .34px 5678px"),
        (r"^a|b$|\bc\b|\Bd", re.MULTILINE, "a\nab\nc d cd"),
        (r"[^a-c]+?x|(?i:Q)", re.IGNORECASE, "ddx Q q"),
        (r"(?>a+)b|c*+d", 0, "aaab ccd"),
        (r".", re.DOTALL, "a\n"),
        (r"\S\D\W", 0, "a b1-"),
    ],
)
def test_the_counting_matcher_finds_what_re_finds(pattern: str, flags: int, text: str) -> None:
    found = [match.span() for match in re.finditer(pattern, text, flags)]
    spans = []
    for start in range(len(text) + 1):
        matcher = Matcher(pattern, flags)
        matcher._text, matcher._groups = (text.lower() if flags & re.IGNORECASE else text), {}
        if (end := matcher._end_of(list(matcher._tree), start)) is not None:
            spans.append((start, end))
    assert set(found) <= set(spans)
    assert found[:1] == spans[:1]
