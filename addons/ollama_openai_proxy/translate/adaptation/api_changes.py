"""Reaches models that only `/v1/responses` has; see `responses_backend`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...api.path_table import OPENAI_RESPONSES
from ..responses_backend.request import SUMMARY
from .changes import Call, Change, Kind, LeaveOut
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from .finding import Sent
    from .refusal_text import RefusalText

_ONLY_RESPONSES = re.compile(
    # OpenAI: "This model is only supported in v1/responses and not in v1/chat/completions."
    r"only (?:be )?(?:supported|available|accessible|usable|used|works?)\b[^\n]{0,40}\bresponses\b"
    # OpenAI, of some of these models; of others it is true that they have only `/v1/completions`.
    r"|not a chat model and thus not supported in the v1/chat/completions"
    # GitHub Copilot: "model ... is not accessible via the /chat/completions endpoint", as for gpt-5-codex.
    r"|not (?:accessible|available|supported|served|usable) (?:via|through|in|on|with|at|by) (?:the )?/?(?:v1/)?"
    r"chat/completions"
    r"|/?(?:v1/)?chat/completions[^\n.]{0,40}\bnot supported\.[^\n]{0,40}use /?(?:v1/)?responses"
    # Azure: "The chatCompletion operation does not work with the specified model".
    r"|chat ?completions? operation does not work with the specified model",
    re.IGNORECASE,
)
_BESIDE_TOOLS = re.compile(r"\btools?\b", re.IGNORECASE)

RENAMED = {
    "max_output_tokens": "max_completion_tokens",
    "reasoning.effort": "reasoning_effort",
    "reasoning.summary": SUMMARY,
    "text.format": "response_format",
    "text.verbosity": "verbosity",
}
"""Parameters of Responses, and what they are called in a chat completion."""
_RENAMED = re.compile("|".join(re.escape(name) for name in RENAMED))


@dataclass(frozen=True, slots=True)
class UseResponses(Change):
    """Calls `/v1/responses` in place of `/v1/chat/completions`."""

    kind: ClassVar[Kind] = "other_api"
    order: ClassVar[int] = -1

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "responses"

    def apply(self, call: Call) -> Call:
        """Call the other API, and ask for what the next call of the conversation gives back, since nothing is to be stored."""
        parameters = {"store": False, "include": ["reasoning.encrypted_content"], SUMMARY: "auto", **call.parameters}
        return replace(call, api="responses", parameters=parameters)

    def describe(self) -> str:
        """Say which API is called."""
        return f"{OPENAI_RESPONSES} is called"


def use_responses(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Call `/v1/responses`, where a refusal says that the model has nothing else."""
    if "messages" in sent and SUMMARY not in sent and says_only_responses(refusal.text):
        yield Finding(UseResponses(), refusal.text)


def leave_out_summary(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Ask for no summary of the reasoning, which OpenAI gives to verified organisations only."""
    named = refusal.param == SUMMARY
    if SUMMARY in sent and (named or "reasoning summar" in refusal.text.lower()):
        yield Finding(LeaveOut(SUMMARY), "" if named else refusal.text)


def says_only_responses(text: str) -> bool:
    """Whether a refusal says that a model, whatever the call, is to be reached through `/v1/responses`."""
    return _ONLY_RESPONSES.search(text) is not None and _BESIDE_TOOLS.search(text) is None


def in_chat_terms(text: str) -> str:
    """A refusal of `/v1/responses`, or the parameter that it names, in the names of the parameters of chat completions."""
    return _RENAMED.sub(lambda match: RENAMED[match[0]], text)
