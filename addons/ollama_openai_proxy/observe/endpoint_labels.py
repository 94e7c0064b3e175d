"""Which endpoint a path belongs to: few names, whatever clients ask for, so that they can be counted by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.path_table import ROUTES, find_route

if TYPE_CHECKING:
    from ..api.path_table import Operation

OTHER = "other"
"""The endpoint of every path that is not known, and the method of every request whose method is none."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})

# A path that stands for another one is counted as that one.
ENDPOINTS = frozenset(route.path for route in ROUTES if route.stands_for is None) | {OTHER}

OPERATIONS: dict[str, Operation] = {route.path: route.operation for route in ROUTES if route.operation is not None}
"""What the calls to models do."""


def endpoint_of(path: str) -> str:
    """One of `ENDPOINTS`."""
    route = find_route(path)
    return OTHER if route is None or route.stands_for is not None else route.path
