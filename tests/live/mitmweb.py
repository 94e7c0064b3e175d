"""mitmweb with the addon, and a headless Chromium in front of it: what a user sees, does and is told."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.live.proxy import ROOT, ProxyProcess, free_port
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from playwright.sync_api import Browser, Locator, Page

PROGRAM = "chromium"
PASSWORD = "of-this-test"
"""Seconds that a condition may take."""
XSRF = {"X-XSRFToken": "a" * 32, "Cookie": f"_mitmproxy_xsrf={'a' * 32}"}


def need_chromium() -> str:
    """Its path; the test is skipped where it is not installed, but not in CI."""
    path = shutil.which(PROGRAM)
    if path is None:
        missing = f"there is no {PROGRAM} (Debian: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


class Chromium:
    """The system's Chromium, without a window."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack = ExitStack()
        self._browser: Browser

    def __enter__(self) -> Self:
        driver = self._stack.enter_context(sync_playwright())
        # As root, Chromium starts without its sandbox only.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._browser = driver.chromium.launch(executable_path=self._path, args=arguments)
        self._stack.callback(self._browser.close)
        expect.set_options(timeout=PATIENCE * 1000)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def page(self, width: int = 1280, height: int = 800) -> Page:
        page = self._browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE * 1000)
        return page


class Mitmweb:
    """mitmweb with the addon: its page by `open`, its HTTP API by the other methods.

    Args:
        arguments: further ones of the command line.
        cwd: the working directory.
        settings: environment variables.
    """

    def __init__(self, *arguments: str, cwd: Path = ROOT, **settings: str) -> None:
        port = free_port()
        self.web_url = f"http://127.0.0.1:{port}"
        options = [f"web_port={port}", f"web_password={PASSWORD}"]
        words = [word for option in options for word in ("--set", option)]
        environment: dict[str, Any] = dict(settings)
        self.proxy = ProxyProcess(door="mitmweb", arguments=[*words, *arguments], cwd=cwd, **environment)
        self._api = httpx.Client(
            base_url=self.web_url, headers=XSRF | {"Authorization": f"Bearer {PASSWORD}"}, trust_env=False, timeout=PATIENCE
        )
        self._page: Page | None = None

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self.clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._page is not None:
            self._page.close()
        self._api.close()
        self.proxy.stop()

    # -- Its HTTP API --------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Empty the list of flows and the event log."""
        assert self._api.post("/clear").status_code == 200

    def flows(self) -> list[dict[str, Any]]:
        flows: list[dict[str, Any]] = self._api.get("/flows").json()
        return flows

    def events(self) -> list[str]:
        return [event["message"] for event in self._api.get("/events").json()]

    def view(self, flow: dict[str, Any], message: str, name: str = "auto") -> tuple[str, str]:
        """What a content view is called, and what it shows."""
        shown = self._api.get(f"/flows/{flow['id']}/{message}/content/{name}").json()
        return shown["view_name"], shown["text"]

    def mark(self, flow: dict[str, Any], marker: str = ":default:") -> None:
        assert self._api.put(f"/flows/{flow['id']}", json={"marked": marker}).status_code == 200

    def command(self, name: str, *arguments: str) -> dict[str, Any]:
        """What a command returns, as `value` or `error`."""
        result: dict[str, Any] = self._api.post(f"/commands/{name}", json={"arguments": arguments}).json()
        return result

    def set_options(self, **options: str | None) -> tuple[int, str]:
        """The status and the text of the answer."""
        response = self._api.put("/options", json=options)
        return response.status_code, response.text

    # -- Its page ------------------------------------------------------------------------------------------------------

    def open(self, chromium: Chromium, width: int = 1280, height: int = 800) -> Page:
        """Log in as a user does."""
        self._page = page = chromium.page(width, height)
        page.goto(self.web_url)
        page.locator("input[type=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator(".connection-indicator")).to_have_text("connected")
        return page


def rows(page: Page) -> Locator:
    """Those of the list of flows."""
    return page.locator(".flow-table tbody tr:has(td)")


def body(page: Page) -> Locator:
    """What the content view shows."""
    return page.locator(".flow-detail .contentview")


def show(page: Page, tab: str, view: str | None = None) -> Locator:
    """Choose a tab of the flow's details, and a content view."""
    page.locator(".flow-detail nav a").get_by_text(tab, exact=True).click()
    if view:
        page.locator(".flow-detail").get_by_text("View:").click()
        page.locator(".dropdown-menu").get_by_text(view, exact=True).click()
    return body(page)


def run_command(page: Page, command: str) -> Locator:
    """Type a command into the command bar; returns where its results stand."""
    menu(page, "Options")
    page.get_by_label("Display Command Bar").check()
    field = page.get_by_placeholder("Enter command")
    field.fill(command)
    field.press("Enter")
    return page.locator(".command-result")


def menu(page: Page, name: str) -> None:
    page.locator("header nav a").get_by_text(name, exact=True).click()


def edit_option(page: Page, name: str, value: str) -> Locator:
    """Type an option's value into the options page, which stays open; returns the place of the option."""
    modal = page.locator(".modal-content")
    if not modal.is_visible():
        menu(page, "Options")
        page.get_by_role("button", name="Edit Options").click()
    field = page.locator(f"input[name={name}]")
    field.fill(value)
    return modal.locator(".form-group").filter(has=field)
