"""Takes the pictures of docs/debugging.md: mitmweb with the addon, a scripted back end, and a headless Chromium."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ollama import Client, ResponseError
from playwright.sync_api import expect

from tests.live.mitmweb import PROGRAM, Chromium, Mitmweb, edit_option, menu, rows, show
from tests.live.proxy import ROOT
from tests.standins import (
    Error,
    Gate,
    ScriptedBackend,
    Sleep,
    Stream,
    error_body,
    finish,
    reasoning,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.standins import Step

DESCRIPTION = """\
Takes the pictures of docs/debugging.md anew. It needs Chromium (scripts/system), a font
with emoji (Debian's fonts-noto-color-emoji), and the ports 11434 and 8000 to be free,
because both are in the pictures.
"""
WIDTH, HEIGHT = 1280, 720
MODEL, SMALL = "gpt-test", "gpt-mini"
OPTIONS = {"temperature": 0, "num_gpu": 1}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
QUESTION = [
    {"role": "system", "content": "Use the tools where they help."},
    {"role": "user", "content": "Do I need an umbrella in Paris today?"},
]
REFUSAL = Error(
    400,
    error_body(
        "Unsupported value: 'temperature' does not support 0 with this model.", param="temperature", code="unsupported_value"
    ),
)


class Desk:
    """The scene: a client, the proxy in mitmweb, the back end, the browser."""

    def __init__(self, web: Mitmweb, backend: ScriptedBackend, page: Page, folder: Path) -> None:
        self.web = web
        self.backend = backend
        self.page = page
        self._folder = folder

    def ask(self, model: str = MODEL, messages: list[dict[str, Any]] = QUESTION, **further: Any) -> None:
        """Let the client ask, whatever comes of it."""
        with suppress(ResponseError):
            for _ in Client(self.web.proxy.url).chat(model=model, messages=messages, stream=True, **further):
                pass

    def picture(self, name: str) -> None:
        """Take one; Chromium writes PNGs that need no further optimising."""
        self.page.evaluate("document.activeElement.blur()")
        self.page.screenshot(path=self._folder / f"{name}.png")
        print(f"{name}.png  {(self._folder / f'{name}.png').stat().st_size / 1000:.0f} kB")


def words(sentence: str, pause: float = 0.02) -> Iterator[Any]:
    """A sentence, token by token."""
    for word in sentence.split(" "):
        yield Sleep(pause)
        yield text(f"{word} ")


def take(desk: Desk) -> None:
    """All pictures, in the order of the page."""
    page = desk.page
    while_it_streams(desk)
    answer = show(page, "Response")
    expect(answer).to_contain_text("counters")
    desk.picture("answer")
    expect(show(page, "Request")).to_contain_text("Ollama request")
    desk.picture("request")
    expect(show(page, "Response", "back end")).to_contain_text("what was changed")
    desk.picture("back-end")

    desk.backend.reply_with(Stream([role(), *words("Hello! What can I do for you?"), finish(), usage(9, 8)]))
    desk.ask(messages=[{"role": "user", "content": "Hello"}])
    desk.ask("gpt-tset", messages=[{"role": "user", "content": "Hello"}])
    page.locator(".close-button").click()
    menu(page, "Flow List")
    expect(rows(page)).to_have_count(3)
    page.wait_for_timeout(500)
    desk.picture("list")
    page.get_by_placeholder("Search").fill("~comment error:")
    expect(rows(page)).to_have_count(1)
    page.get_by_placeholder("Search").fill("")
    expect(rows(page)).to_have_count(3)

    desk.backend.reply_with(Stream([role(), *words("It depends on the weather."), finish(), usage(71, 6)]))
    rows(page).first.click()
    show(page, "Response")
    desk.web.mark(desk.web.flows()[0])
    desk.web.command("ollama.replay", "~marked & ~c 200", f"model={SMALL}")
    expect(rows(page)).to_have_count(4)
    rows(page).nth(3).click()
    expect(show(page, "Response", "auto")).to_contain_text("It depends")
    page.wait_for_timeout(500)
    desk.picture("replay")

    place = edit_option(page, "openai_api_base_url", "nonsense")
    expect(place.locator(".has-error")).to_be_visible()
    place.evaluate("element => element.scrollIntoView({block: 'center'})")
    desk.picture("options")


def while_it_streams(desk: Desk) -> None:
    """The first call: refused once, then streamed."""
    go_on = threading.Event()
    steps: list[Step] = [role(), reasoning("They ask about rain in Paris, "), reasoning("so I need the weather.")]
    steps += [*words("Let me look at the weather in Paris"), Gate(go_on), text("first.")]
    steps += [tool_delta(0, "call_1", "weather", ""), tool_delta(0, arguments='{"city": "Pa'), tool_delta(0, arguments='ris"}')]
    desk.backend.reply_with(REFUSAL, Stream([*steps, finish("tool_calls"), usage(71, 24)]))
    client = threading.Thread(target=desk.ask, kwargs={"tools": [WEATHER], "options": OPTIONS})
    client.start()
    rows(desk.page).click()
    expect(show(desk.page, "Response")).to_contain_text("in Paris")
    desk.picture("streaming")
    go_on.set()
    client.join()


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser("scripts/screenshots", description=DESCRIPTION)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures", help="where they are written")
    folder: Path = parser.parse_args().folder
    chromium = shutil.which(PROGRAM)
    if chromium is None:
        print(f"scripts/screenshots: there is no {PROGRAM}: run scripts/system.", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with ScriptedBackend(port=8000) as backend, Chromium(chromium) as browser, tempfile.TemporaryDirectory() as empty:
        backend.models = [backend.models[0] | {"id": name} for name in (MODEL, SMALL)]
        settings = {"OPENAI_API_BASE_URL": backend.base_url, "PROXY_PORT": "11434"}
        with Mitmweb(cwd=Path(empty), **settings) as web:
            take(Desk(web, backend, web.open(browser, WIDTH, HEIGHT), folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
