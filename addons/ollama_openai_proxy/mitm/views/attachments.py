"""Images and other files within a request, as their type and size."""

from __future__ import annotations

import binascii
import re

from .formatting import clipped, size

_KINDS = {
    "PNG image": rb"\x89PNG",
    "JPEG image": rb"\xff\xd8\xff",
    "GIF image": rb"GIF8",
    "BMP image": rb"BM",
    "TIFF image": rb"II\*\0|MM\0\*",
    "SVG image": rb"<svg",
    "WebP image": rb"RIFF....WEBP",
    "WAV sound": rb"RIFF....WAVE",
    "AVIF image": rb"....ftypavif",
    "HEIF image": rb"....ftyp(?:hei|mif)",
    "MP4 file": rb"....ftyp",
    "PDF file": rb"%PDF",
    "MP3 sound": rb"ID3",
    "Ogg sound": rb"OggS",
    "FLAC sound": rb"fLaC",
}
"""What a file is by its first bytes."""
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
    padding = len(data) - len(data.rstrip("=\r\n"))
    kind = _kind(data[begin : begin + _HEAD]) or (declared and declared[1]) or otherwise
    return f"[{kind}, {size(max(0, (len(data) - begin - padding) * 3 // 4))}]"


def _kind(text: str) -> str:
    digits = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        head = binascii.a2b_base64(digits[: len(digits) // 4 * 4], strict_mode=True)
    except ValueError:
        return "not base64"
    return next((kind for kind, pattern in _KINDS.items() if re.match(pattern, head, re.DOTALL)), "")
