"""Carries the reasoning items of Responses through a conversation, so that a model goes on thinking after its tools have run.

The proxy stores nothing, and tells the server to store nothing; so the server encrypts the reasoning, and wants it back before
the calls that it led to. It travels as `reasoning_details` of an assistant's message, see `opaque_state`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DETAILS = "reasoning_details"
_TYPE = "responses.item"


def detail_of(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """The detail that carries a reasoning item; None for an item that a server which stores nothing does not take back."""
    if item.get("type") != "reasoning" or not item.get("encrypted_content"):
        return None
    # The text of the summary is not needed, and makes the state long.
    kept = {name: item[name] for name in ("type", "id", "encrypted_content") if name in item}
    return {"type": _TYPE, "item": kept | {"summary": []}}


def items_of(details: object) -> list[dict[str, Any]]:
    """The reasoning items that an assistant's details carry."""
    entries = details if isinstance(details, list) else []
    return [dict(entry["item"]) for entry in entries if _is_ours(entry) and isinstance(entry.get("item"), dict)]


def own_details(details: object) -> list[Any]:
    """The details that carry reasoning items, which only `/v1/responses` takes."""
    return [entry for entry in details if _is_ours(entry)] if isinstance(details, list) else []


def without_items(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a chat completion without reasoning items, which no server's chat completions take."""
    messages = parameters.get("messages")
    if not isinstance(messages, list) or not any(DETAILS in message and own_details(message[DETAILS]) for message in messages):
        return dict(parameters)
    return {**parameters, "messages": [_stripped(message) for message in messages]}


def _stripped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if not own_details(message.get(DETAILS)):
        return message
    kept = [entry for entry in message[DETAILS] if not _is_ours(entry)]
    rest = {name: value for name, value in message.items() if name != DETAILS}
    return rest | ({DETAILS: kept} if kept else {})


def _is_ours(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("type") == _TYPE
