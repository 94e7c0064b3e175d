"""Replays recorded exchanges of a real Ollama against the proxy and says what differs."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conformance.compare import compare
from tests.conformance.listing import DOCUMENT, Report, Result, listed
from tests.conformance.recording import load, load_standard, save
from tests.conformance.replay import record, replay
from tests.conformance.stage import running_proxy

if TYPE_CHECKING:
    from tests.conformance.recording import Recording, Response

DESCRIPTION = """\
Sends the requests of a recording to the proxy and compares the replies with the recorded
ones: status, headers, keys, types, frame order, and the values that are not free.

Without --url it starts the proxy itself, before a back end that plays the models of the
recording. Exit status: 1 if there is a difference that docs/compatibility.md does not
explain, or if one that it explains no longer occurs; 2 if nothing could be compared.
"""
EPILOG = """\
--record takes the replies of the server at --url (a real Ollama with the models tiny and
tinytools) for a new recording of the same requests. It copies, creates and deletes models
named tinycopy and tinysys there.
"""


def main() -> int:
    """The command line."""
    options = _options()
    try:
        recording = load(options.golden) if options.golden else load_standard()
        if options.record:
            again = record(recording.exchanges, options.url)
            save(again, options.record)
            print(f"{len(again.exchanges)} exchanges recorded from {again.server} into {options.record}")
            return 0
        with ExitStack() as stack:
            url = options.url or stack.enter_context(running_proxy())[1].url
            replies = {exchange.name: response for exchange, response in replay(recording.exchanges, url)}
        known = listed(DOCUMENT.read_text("utf-8"))
    except (AssertionError, OSError, ValueError, httpx.HTTPError) as error:
        print(f"scripts/conformance: {error}", file=sys.stderr)
        return 2
    results = [
        Result(exchange.name, tuple(compare(exchange.response, replies[exchange.name]))) for exchange in recording.exchanges
    ]
    report = Report(results, known)
    print(report.table())
    if options.verbose:
        _print_replies(recording, report, replies)
    print(f"\n{report.closing_line()}")
    return 1 if report.unlisted or report.gone else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--golden", metavar="FILE", type=Path, help="a recording (default: that of 0.33, else 0.24)")
    parser.add_argument("--url", type=lambda url: url.rstrip("/"), help="a running proxy, or any Ollama server")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write a new recording instead of comparing; needs --url")
    parser.add_argument("--verbose", action="store_true", help="also print the replies that differ, recorded and answered")
    options = parser.parse_args()
    if options.record and not options.url:
        parser.error("--record needs --url: the server to record from")
    return options


def _print_replies(recording: Recording, report: Report, replies: dict[str, Response]) -> None:
    for exchange, result in zip(recording.exchanges, report.results, strict=True):
        if result.differences:
            print(f"\n{result.name}: {exchange.request.method} {exchange.request.path}")
            print(f"  recorded  {_reply(exchange.response)}")
            print(f"  answered  {_reply(replies[result.name])}")


def _reply(response: Response) -> str:
    return f"{response.status} {json.dumps(dict(response.headers))} {json.dumps(response.content, ensure_ascii=False)}"


if __name__ == "__main__":
    sys.exit(main())
