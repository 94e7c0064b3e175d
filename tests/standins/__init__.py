"""Real HTTP servers that the tests put in place of the outside world.

Each listens on a free loopback port while its context is open, records what it is asked, and notices at once when a
client leaves:

* `ScriptedBackend` is the OpenAI-compatible server behind translate mode. It answers by default, or with the replies
  that the test queues: `Stream` (made of steps), `Whole`, `Error`, `Cut`.
* `StrictOllama` is the real Ollama behind fix mode, recorded answers and all.
* `Mangler` is a pod's HTTP proxy, which turns every request into a GET.
"""

from tests.standins._further_calls import COUNTED, message, message_events, response, response_events
from tests.standins._record import Journal, RecordedRequest
from tests.standins._thread import ThreadedServer
from tests.standins.mangler import Mangler
from tests.standins.ollama_upstream import Blob, StrictOllama, recording
from tests.standins.openai_backend import (
    Chunk,
    Cut,
    Delta,
    Done,
    End,
    Error,
    Gate,
    Raw,
    Script,
    ScriptedBackend,
    Sleep,
    Step,
    Stream,
    WaitForClient,
    Whole,
    chat_completion,
    embedding_of,
    error_body,
    finish,
    reasoning,
    role,
    text,
    text_completion,
    tool_delta,
    usage,
)

__all__ = [
    "COUNTED",
    "Blob",
    "Chunk",
    "Cut",
    "Delta",
    "Done",
    "End",
    "Error",
    "Gate",
    "Journal",
    "Mangler",
    "Raw",
    "RecordedRequest",
    "Script",
    "ScriptedBackend",
    "Sleep",
    "Step",
    "Stream",
    "StrictOllama",
    "ThreadedServer",
    "WaitForClient",
    "Whole",
    "chat_completion",
    "embedding_of",
    "error_body",
    "finish",
    "message",
    "message_events",
    "reasoning",
    "recording",
    "response",
    "response_events",
    "role",
    "text",
    "text_completion",
    "tool_delta",
    "usage",
]
