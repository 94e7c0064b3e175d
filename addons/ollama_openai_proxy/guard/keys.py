"""The keys that clients bring: where they stand in a request, and which of them open the proxy.

No key is kept, and none is ever part of an error's text.
"""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..net.http_messages import Request

LEAST_LENGTH = 8
MOST_LENGTH = 1 << 13
_LONGEST_HEADER = 2 * MOST_LENGTH
"""No longer one is looked at; base64 makes a third more of a key."""
_KEY = re.compile(r"[!-+\--~]+")
"""Visible ASCII. A comma is what separates the keys of a setting, and the values of a header that came twice."""
_COMMENT = re.compile(r"(^|[ \t])#.*")
_BLANKS = " \t\r"


class Keys:
    """The keys that open the proxy; without any, it is open to everyone."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = tuple(dict.fromkeys(_hashed(key) for key in keys))

    def __len__(self) -> int:
        return len(self._hashes)

    def __repr__(self) -> str:
        return f"<Keys: {len(self._hashes)}>"

    def owner(self, request: Request) -> str | None:
        """A short name for the right key that a request brings, always the same for a key; None if it brings none.

        How long this takes says nothing about the keys: hashes are compared, and always with every key.
        """
        owner = None
        for brought in map(_hashed, _brought(request)):
            for known in self._hashes:
                if hmac.compare_digest(brought, known):
                    owner = known.hex()[:8]
        return owner


def brought_key(request: Request) -> str | None:
    """The key that a client brings, be it right or wrong; it may stand in a header as it is."""
    return next(_brought(request), None)


def read_keys(listed: str | None, file: Path | None) -> list[str]:
    """The keys that the settings name, each once.

    Args:
        listed: PROXY_API_KEYS: keys separated by commas; empty counts as absent.
        file: PROXY_API_KEYS_FILE: keys on lines of their own or separated by commas, with comments behind a `#`.

    Raises:
        ValueError: the file cannot be read, a key is unfit, or one of the two holds none.
    """
    keys = _checked("PROXY_API_KEYS", listed.split(",")) if listed else []
    if file is not None:
        lines = (_COMMENT.sub("", line) for line in _text(file).split("\n"))
        keys += _checked("PROXY_API_KEYS_FILE", (key for line in lines for key in line.split(",")))
    return list(dict.fromkeys(keys))


def _hashed(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _brought(request: Request) -> Iterator[str]:
    """What a request has in the places for a key, the most usual first. A header that came twice holds no key."""
    scheme, _, credentials = _value(request, "authorization").partition(" ")
    match scheme.lower():
        case "bearer":
            places = [credentials.strip(_BLANKS)]
        case "basic":
            places = [_password(credentials.strip(_BLANKS))]
        case _:
            places = []
    places += [_value(request, "x-api-key"), _value(request, "api-key")]
    return (key for key in places if _KEY.fullmatch(key))


def _value(request: Request, name: str) -> str:
    value = request.headers.get(name, "")
    return value.strip(_BLANKS) if len(value) <= _LONGEST_HEADER else ""


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return ""


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        # Not its path: it could be a key that was put into the wrong setting.
        reason = (isinstance(error, OSError) and error.strerror) or "no path of a file"
    else:
        return content.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    raise ValueError(f"PROXY_API_KEYS_FILE cannot be read ({reason}): set it to the path of a file with a key on each line.")


def _checked(setting: str, entries: Iterable[str]) -> list[str]:
    keys = [key for entry in entries if (key := entry.strip(_BLANKS))]
    if not keys:
        raise ValueError(f"{setting} holds no key: put one in, or leave it unset.")
    for number, key in enumerate(keys, 1):
        if not (_KEY.fullmatch(key) and LEAST_LENGTH <= len(key) <= MOST_LENGTH):
            wanted = f"{LEAST_LENGTH} to {MOST_LENGTH} visible ASCII characters and no blanks"
            raise ValueError(f"{setting} is wrong: key {number} must have {wanted}.")
    return keys
