"""How many bytes of request bodies are held at a time, over all clients."""

from __future__ import annotations

from ..errors import ApiError

BYTES_PER_ELEMENT = 100
"""What a parsed value of JSON counts for, beside the bytes of its text: roughly the memory that Python takes for one."""
FULL = "the proxy holds as many request bodies as MAX_BUFFERED allows: try again"


class HeldBytes:
    """The sum of what is held.

    Args:
        most: MAX_BUFFERED, in bytes; 0 is any number.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be held."""
        return not self._most or self.total + size <= self._most

    def hold(self) -> Hold:
        """What one request holds; nothing at first."""
        return Hold(self)


class Hold:
    """What one request holds.."""

    __slots__ = ("_of", "_size")

    def __init__(self, of: HeldBytes) -> None:
        self._of = of
        self._size = 0

    def add(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            ApiError: all clients together would hold too many.
        """
        if not self._of.has_room(size):
            raise ApiError(503, FULL, {"Retry-After": "1"})
        self._of.total += size
        self._size += size

    def release(self) -> None:
        """Free all; may be called repeatedly."""
        self._of.total -= self._size
        self._size = 0
