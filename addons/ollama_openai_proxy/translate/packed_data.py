"""Packs data that a client carries for the proxy, so that what comes back cannot unpack to far more than it takes to send.

A client may send anything in the place of what it was given, and zlib unpacks a kilobyte to a megabyte. So data that packs very
well is stored unpacked, and what unpacks to more than a fixed multiple of its size is taken for none of the proxy's.
"""

from __future__ import annotations

import zlib


def pack(data: bytes, most_times: int) -> bytes:
    """Pack data, for `unpack` with the same `most_times`.

    Args:
        data: any bytes.
        most_times: how many times the size of the packed data the unpacked data may have.
    """
    packed = zlib.compress(data)
    return packed if len(data) <= most_times * len(packed) else zlib.compress(data, 0)


def unpack(packed: bytes, most_times: int) -> bytes | None:
    """Unpack data; None if `pack` has not made the data.

    Args:
        packed: what a client sent.
        most_times: see `pack`.
    """
    unpacking = zlib.decompressobj()
    most = most_times * len(packed)
    try:
        data = unpacking.decompress(packed, most + 1)
    except zlib.error:
        return None
    return data if unpacking.eof and len(data) <= most else None
