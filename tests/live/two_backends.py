"""One proxy before two back ends: one that has chat completions and no more, and one that has everything."""

from __future__ import annotations

import socket
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.live.proxy import ProxyProcess
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.standins import RecordedRequest

type Kind = Literal["chat only", "everything"]

KINDS: tuple[Kind, ...] = ("chat only", "everything")

MODELS_FILE = """
[backends.full]
url = "{full}"
api_key = "full-key"

[backends.gone]
url = "{gone}"

[models.gone]
backend = "gone"

[models.alias]
model = "gpt-test"
[models.vectors]
model = "text-embedding-test"
[models.brief]
model = "gpt-test"
system = "Be brief."
options = {{ temperature = 0.25, seed = 7, num_predict = 9 }}

[models."full-alias:8b"]
backend = "full"
model = "Org/full-test"
[models.full-vectors]
backend = "full"
model = "Org/full-embedding"
[models.full-brief]
backend = "full"
model = "Org/full-test"
system = "Be brief."
options = {{ temperature = 0.25, seed = 7, num_predict = 9 }}
"""


@dataclass(frozen=True, slots=True)
class Side:
    """A back end, and what a client of the proxy calls its models.

    Attributes:
        model: a model by the back end's own name.
        alias: the same by another name.
        brief: the same with a system prompt and options from the models file.
        vectors: the other name of an embedding model.
        key: what the proxy shows to the back end.
    """

    backend: ScriptedBackend
    everything: bool
    model: str
    alias: str
    brief: str
    vectors: str
    key: str

    def posts(self, path: str = "") -> list[RecordedRequest]:
        """The calls made to the back end's models, or those to a path."""
        return [each for each in self.backend.requests if each.method == "POST" and each.path.startswith(path)]

    @property
    def asked(self) -> Any:
        """The body of the last call to a model."""
        return self.posts()[-1].json


@dataclass(frozen=True, slots=True)
class Pair:
    """The proxy and both back ends; `gone` is the URL of a third that is down, whose model has this name."""

    proxy: ProxyProcess
    sides: Mapping[Kind, Side]
    gone: str

    def clear(self) -> None:
        """Forget all calls, and the replies that no call took."""
        for side in self.sides.values():
            side.backend.forget_scripts()
            side.backend.requests.clear()
            side.backend.sent.clear()
            side.backend.violations.clear()
            while side.backend.wait_for_disconnect(timeout=0) is not None:
                pass

    def check(self) -> None:
        """Nothing was sent that OpenAI does not take, and nothing still runs."""
        for side in self.sides.values():
            assert side.backend.violations == []
            assert side.backend.wait_idle()


@contextmanager
def two_backends() -> Iterator[Pair]:
    """Start all of it."""
    with (
        socket.socket() as nobody,
        tempfile.TemporaryDirectory() as directory,
        ScriptedBackend(api_key="chat-key") as chat,
        ScriptedBackend(api_key="full-key", everything=True) as full,
    ):
        # Bound, so that nobody else gets the port, and not listened on.
        nobody.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        full.models = [full.models[0] | {"id": name} for name in ("Org/full-test", "Org/full-embedding")]
        path = Path(directory, "models.toml")
        path.write_text(MODELS_FILE.format(full=full.base_url, gone=gone), "utf-8")
        with ProxyProcess(OPENAI_API_BASE_URL=chat.base_url, OPENAI_API_KEY="chat-key", MODELS_FILE=str(path)) as proxy:
            sides: dict[Kind, Side] = {
                "chat only": Side(chat, False, "gpt-test", "alias", "brief", "vectors", "chat-key"),
                "everything": Side(
                    *(full, True, "Org/full-test", "full-alias:8b", "full-brief", "full-vectors", "full-key"),
                ),
            }
            yield Pair(proxy, sides, gone)
