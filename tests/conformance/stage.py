"""The back end that plays the recordings' models, and the proxy in front of it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.backend import TinyModels
from tests.live.proxy import ProxyProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running_proxy() -> Iterator[tuple[TinyModels, ProxyProcess]]:
    """Start both. The proxy takes wrong methods as Ollama does and knows what the models can do."""
    with tempfile.TemporaryDirectory() as directory, TinyModels() as backend:
        # The directory has no .env, which might hold settings of the user's.
        place = Path(directory)
        with ProxyProcess(
            cwd=place,
            OPENAI_API_BASE_URL=backend.base_url,
            MODELS_FILE=str(backend.write_models_file(place)),
            FIX_METHODS="false",
        ) as proxy:
            yield backend, proxy
