"""The recorded bodies that the tests of the views read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "tests" / "data" / "views"
SAMPLES = sorted(path.name for path in FOLDER.iterdir())
RECORDING = ROOT / "tests" / "data" / "ollama_upstream.json"


def sample(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def recorded() -> list[tuple[dict[str, Any], bytes]]:
    """Requests and the bodies that a real Ollama answered."""
    exchanges = json.loads(RECORDING.read_text(encoding="utf-8"))["exchanges"]
    return [(each["request"], body_of(each["response"])) for each in exchanges]


def body_of(response: dict[str, Any]) -> bytes:
    if "frames" in response:
        return b"".join(json.dumps(frame).encode() + b"\n" for frame in response["frames"])
    return json.dumps(response["json"]).encode() if "json" in response else str(response.get("text", "")).encode()
