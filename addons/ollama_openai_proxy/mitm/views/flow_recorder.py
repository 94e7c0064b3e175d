"""Both sides of a call in its flow: what the client was told as it is told, what the back end was asked and answered.

It is kept in the flow itself, so it goes into a saved file and comes back from it. Bodies are kept up to `MOST_KEPT` bytes.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx
from mitmproxy.hooks import UpdateHook

from .backend_side import BACKEND, CALL
from .commands import REPLAY
from .flow_list import MARKERS, comment_of, marker_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitmproxy.addons.view import View
    from mitmproxy.http import HTTPFlow

    from ...net.request_context import Record

MOST_KEPT = 1 << 20
REFRESH = 0.3
"""Seconds between two looks of the user interface at a flow whose answer is being made."""


class FlowWatcher:
    """Writes into one flow what becomes of it."""

    def __init__(self, flow: HTTPFlow, mode: str, keep: int) -> None:
        self._flow = flow
        self._mode = mode
        self._keep = keep
        self._told = bytearray()
        self._answer = bytearray()
        self._refresh: asyncio.TimerHandle | None = None

    def sent(self, backend: str, url: str, body: Mapping[str, Any] | bytes, *, with_key: bool) -> None:
        """Note a call to a back end; of its key only that there is one."""
        notes = self._side().get("notes", [])
        self._answer.clear()
        self._flow.metadata[BACKEND] = {
            "backend": backend,
            "url": url,
            "request_headers": {"Authorization": "Bearer …"} if with_key else {},
            "request": _readable(body),
            "notes": notes,
        }

    def received(self, status: int, data: bytes) -> None:
        """Note a part of the back end's answer."""
        self._side()["status"] = status
        self._answer += data[: max(MOST_KEPT - len(self._answer), 0)]
        self._changed()

    def note(self, text: str) -> None:
        """Note what was left out, renamed or tried again."""
        self._side().setdefault("notes", []).append(text)

    def told(self, part: bytes) -> None:
        """Note a part of the reply."""
        self._told += part[: max(MOST_KEPT - len(self._told), 0)]
        self._changed()

    def ended(self, record: Record) -> None:
        """Note what is known in the end."""
        self._flow.metadata[CALL] = {
            "mode": self._mode,
            "request_id": record.request_id,
            "arrived_as": record.arrived_as,
            "model": record.model,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "first_part": record.first_part,
            "duration": record.duration,
            "error": record.error or ("client_gone" if record.gone else ""),
        }
        # What the user wrote stays; what a repeated call says of itself is put in front of this.
        if self._flow.comment in ("", self._flow.metadata.get(REPLAY)):
            self._flow.comment = comment_of(self._flow.metadata[CALL])
        self._flow.marked = self._flow.marked or marker_of(self._flow.metadata[CALL])
        # At once: the flow is about to be saved, where flows are.
        self._store()
        self._changed()
        forget_oldest(self._keep)

    def _side(self) -> dict[str, Any]:
        side: dict[str, Any] = self._flow.metadata.setdefault(BACKEND, {})
        return side

    def _changed(self) -> None:
        if self._refresh is None:
            self._refresh = asyncio.get_running_loop().call_later(REFRESH, self._show)

    def _show(self) -> None:
        self._refresh = None
        self._store()
        asyncio.get_running_loop().create_task(ctx.master.addons.trigger_event(UpdateHook([self._flow])))

    def _store(self) -> None:
        if self._answer:
            self._side()["answer"] = self._answer.decode("utf-8", "replace")
            self._side()["truncated"] = len(self._answer) >= MOST_KEPT
        response = self._flow.response
        if response is not None and response.stream and self._told:
            # It has been sent already, so this is for the eye only.
            response.data.content = bytes(self._told)


def forget_oldest(keep: int) -> None:
    """Remove the oldest flows from the list beyond so many, except those that the user has marked; 0 keeps all."""
    view: View | None = ctx.master.addons.get("view")
    if view is None or not keep:
        return
    flows = list(view._store.values())  # noqa: SLF001  # in the order of their arrival, which `view` itself does not give
    finished = [flow for flow in flows if not flow.live and flow.marked in ("", *MARKERS)]
    view.remove(finished[: max(len(flows) - keep, 0)])


def _readable(body: Mapping[str, Any] | bytes) -> Any:
    if not isinstance(body, bytes):
        return json.loads(json.dumps(body, default=str))
    text = body[:MOST_KEPT].decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
