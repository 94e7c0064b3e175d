"""Images and other files within a request, as their type and size."""

from __future__ import annotations

import base64
import binascii
import re

from .formatting import clipped, size

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"BM", "BMP image"),
    (b"II*\x00", "TIFF image"),
    (b"MM\x00*", "TIFF image"),
    (b"<svg", "SVG image"),
    (b"%PDF", "PDF file"),
    (b"ID3", "MP3 sound"),
    (b"OggS", "Ogg sound"),
    (b"fLaC", "FLAC sound"),
)
_WITHIN = {b"WEBP": "WebP image", b"WAVE": "WAV sound", b"AVI ": "AVI video"}
_BRANDS = {b"avif": "AVIF image", b"heic": "HEIC image", b"heix": "HEIC image", b"mif1": "HEIF image"}
_HEAD = 64
_DATA_URL = re.compile(r"data:([^;,]{0,100})[^,]{0,100},")


def described(data: object, otherwise: str = "image") -> str:
    """What a base64 text, a data URL or a URL stands for: `[PNG image, 12.3 kB]`.

    Args:
        data: the text.
        otherwise: what it is called where its first bytes do not tell.
    """
    if not isinstance(data, str) or not data:
        return f"[{otherwise}, empty]"
    declared = _DATA_URL.match(data)
    if declared is None and re.match(r"[a-z]{2,10}:", data):
        return f"[{otherwise} at {clipped(data)}]"
    begin = declared.end() if declared else 0
    if declared and declared[1]:
        otherwise = declared[1]
    kind = _kind(data[begin : begin + _HEAD])
    padding = len(data) - len(data.rstrip("=\r\n"))
    return f"[{kind or otherwise}, {size(max(0, (len(data) - begin - padding) * 3 // 4))}]"


def _kind(text: str) -> str:
    digits = "".join(text.split())
    try:
        head = base64.b64decode(digits[: len(digits) // 4 * 4].replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return "not base64"
    if head[:4] == b"RIFF" and head[8:12] in _WITHIN:
        return _WITHIN[head[8:12]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "MP4 file")
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), "")
