"""Log lines: one for each request in either form, the request's id on every other line, and nothing secret on any."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy.errors import ApiError, BackendError, InvalidRequest, ModelNotFound
from ollama_openai_proxy.net.request_context import Record, begin_record, current_record
from ollama_openai_proxy.net.shutdown import goodbye
from ollama_openai_proxy.observe.log import (
    QUIET_PATHS,
    AccessLog,
    JsonFormatter,
    TextFormatter,
    access,
    access_fields,
    set_up_logging,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("ollama_openai_proxy.of_the_tests")

type Written = Callable[[str], list[str]]


@pytest.fixture
def written() -> Iterator[Written]:
    """Logs in one of the two forms from then on; what it returns grows by the lines that are written."""
    root = logging.getLogger("ollama_openai_proxy")
    before = root.level, root.propagate
    handlers: list[logging.Handler] = []

    class Lines(logging.Handler):
        def __init__(self, lines: list[str]) -> None:
            super().__init__()
            self._lines = lines

        def emit(self, record: logging.LogRecord) -> None:
            self._lines.append(self.format(record))

    def begin(form: str) -> list[str]:
        lines: list[str] = []
        handler = Lines(lines)
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
        root.addHandler(handler)
        root.setLevel("INFO")
        handlers.append(handler)
        return lines

    yield begin
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(before[0])


def record(**what: Any) -> Record:
    return Record(**({"request_id": "id-1", "method": "POST", "path": "/api/chat", "arrived_as": "POST"} | what))


FULL: dict[str, Any] = {
    "method": "POST",
    "arrived_as": "GET",
    "caller": "192.0.2.1",
    "model": "llama3",
    "backend": "lab",
    "fallback": "other",
    "backend_ids": ["req_1", "req_2"],
    "status": 200,
    "error": "broken_off",
    "bytes": 700,
    "frames": 7,
    "first_part": 0.2504,
    "duration": 1.5,
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "retries": 1,
    "waits": 3,
    "heartbeats": 2,
    "gone": True,
}


def test_a_request_is_one_object_of_json(written: Written) -> None:
    lines = written("json")
    AccessLog().ended(record(**FULL))
    (line,) = map(json.loads, lines)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "ollama_openai_proxy.access",
        "message": "request",
        "request_id": "id-1",
        "caller": "192.0.2.1",
        "method": "POST",
        "arrived_as": "GET",
        "path": "/api/chat",
        "status": 200,
        "error": "broken_off",
        "model": "llama3",
        "backend": "lab",
        "fallback": "other",
        "backend_ids": ["req_1", "req_2"],
        "bytes": 700,
        "frames": 7,
        "first_part_ms": 250.4,
        "duration_ms": 1500.0,
        "prompt_tokens": 11,
        "completion_tokens": 5,
        "retries": 1,
        "waits": 3,
        "heartbeats": 2,
        "client_gone": True,
    }


def test_a_request_is_one_line_of_text(written: Written) -> None:
    lines = written("text")
    AccessLog().ended(record(**(FULL | {"model": 'two words "quoted"'})))
    (line,) = lines
    moment, _, rest = line.partition(" INFO ")
    assert moment
    assert rest == (
        "POST /api/chat → 200 request_id=id-1 caller=192.0.2.1 arrived_as=GET error=broken_off "
        r'model="two words \"quoted\"" backend=lab fallback=other backend_ids=req_1,req_2 bytes=700 frames=7 '
        "first_part_ms=250.4 duration_ms=1500.0 prompt_tokens=11 completion_tokens=5 retries=1 waits=3 heartbeats=2 "
        "client_gone=True"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert access_fields(record(status=204, duration=0.001)) == {
        "request_id": "id-1",
        "method": "POST",
        "path": "/api/chat",
        "status": 204,
        "bytes": 0,
        "duration_ms": 1.0,
    }


def test_no_tokens_are_told_from_unknown_ones() -> None:
    fields = access_fields(record(prompt_tokens=0))
    assert fields["prompt_tokens"] == 0
    assert "completion_tokens" not in fields


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_a_client_writes_stays_on_its_line(written: Written, form: str) -> None:
    lines = written(form)
    AccessLog().ended(record(model='a\nb\r\x85\u2028\x1b[2J\udc80{"level": "error"}', status=200))
    logger.warning("the server says: %s", "a\nb\r\x85\u2028\x1b[2J\udc80")
    for line in lines:
        assert line.splitlines() == [line]
        assert line.isprintable()


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_path_that_a_client_asks_for_stays_on_its_line(written: Written, form: str) -> None:
    lines = written(form)
    AccessLog().ended(record(path="/a\n2026-01-01 00:00:00,000 ERROR forged", status=404))
    assert lines[0].isprintable()


@pytest.mark.parametrize("form", ["json", "text"])
def test_every_other_line_carries_the_id_of_its_request(written: Written, form: str) -> None:
    lines = written(form)
    before = current_record()
    begin_record(record())
    try:
        logger.warning("something about %s", "it")
    finally:
        begin_record(before)
    logger.warning("something else")
    about, other = lines
    if form == "json":
        assert json.loads(about)["message"] == "something about it"
        assert json.loads(about)["request_id"] == "id-1"
        assert "request_id" not in json.loads(other)
    else:
        assert about.endswith("WARNING something about it (id-1)")
        assert other.endswith("WARNING something else")


def test_a_traceback_is_part_of_the_object(written: Written) -> None:
    lines = written("json")
    try:
        int("no number")
    except ValueError:
        logger.exception("it failed")
    (line,) = map(json.loads, lines)
    assert line["level"] == "error"
    assert "ValueError: " in line["traceback"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_key_is_logged(written: Written, form: str) -> None:
    lines = written(form)
    secret = record(client_key="sk-secret", status=200)
    AccessLog().ended(secret)
    logger.warning("%r", secret)
    assert "sk-secret" not in "".join(lines)


@pytest.mark.parametrize("path", sorted(QUIET_PATHS))
def test_probes_are_logged_at_debug(written: Written, path: str) -> None:
    lines = written("text")
    AccessLog().ended(record(path=path))
    assert lines == []
    logging.getLogger("ollama_openai_proxy").setLevel("DEBUG")
    AccessLog().ended(record(path=path))
    assert len(lines) == 1
    assert " DEBUG " in lines[0]


def test_nothing_is_written_before_the_end(written: Written) -> None:
    lines = written("text")
    AccessLog().began(record())
    assert lines == []


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_process_logs_in_the_form_and_from_the_level_that_it_is_told(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # So that `force` closes none of pytest's.
    root.handlers = []
    try:
        set_up_logging("warning", "json" if form == "json" else "text")
        logger.info("quiet")
        logger.warning("loud")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    (line,) = stream.getvalue().splitlines()
    assert (json.loads(line)["message"] == "loud") if form == "json" else line.endswith("WARNING loud")


def test_the_logger_of_requests_has_a_name_of_its_own() -> None:
    assert access.name == "ollama_openai_proxy.access"


# ── what the documentation says

PAGE = (Path(__file__).parents[3] / "docs/operations.md").read_text()


def listed(part: str) -> list[str]:
    """What stands in the first column of a table."""
    return re.findall(
        r"^\| `(\w+)` \|", PAGE.partition(f"<!-- {part} -->")[2].partition(f"<!-- end of {part} -->")[0], re.MULTILINE
    )


def test_the_documentation_lists_every_key_and_no_other() -> None:
    assert listed("log") == list(access_fields(record(**FULL)))


def test_the_example_is_a_line_of_documented_keys() -> None:
    (example,) = re.findall(r"^\{\"time\".*$", PAGE, re.MULTILINE)
    assert set(json.loads(example)) <= {"time", "level", "logger", "message", *listed("log")}


def test_the_documentation_lists_every_kind_of_error() -> None:
    kinds = {ApiError(status, "").kind for status in range(400, 600)}
    kinds |= {InvalidRequest("").kind, ModelNotFound("").kind, goodbye().kind, "backend_refused", "broken_off", "crash"}
    kinds |= {BackendError(502, "").kind, BackendError(504, "").kind}
    assert set(listed("kinds")) == kinds
