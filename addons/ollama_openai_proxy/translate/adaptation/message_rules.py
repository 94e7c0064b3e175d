"""Rules for the shape of a conversation: roles, their order, and the fields of messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .finding import Finding
from .message_changes import ContinueLast, LeaveOutOfMessages, ShapeMessages
from .refusal_text import (
    RefusalText,
    refused_message_fields,
    says_refused,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Sent
    from .message_changes import Shape

_SYSTEM_FIRST = re.compile(
    r"system (?:message|prompt|role|instruction)s?[^\n]{0,60}(?:must|should|can only|may only|only)[^\n]{0,40}"
    r"(?:first|beginning|start|one|single|once)|only (?:the first message|one system|a single system)|(?:multiple"
    r"|several|more than one)"
    r" system|only[^\n]{0,30}first message[^\n]{0,40}system",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(
    r"alternat|consecutive (?:messages|user|assistant|roles?)|same role|in a row|back[- ]to[- ]back", re.IGNORECASE
)
_USER_FIRST = re.compile(
    r"first (?:non-system )?message[^\n]{0,40}\buser\b|(?:start|begin)s? with (?:a |an )?['\"`]?user\b"
    r"|first[^\n]{0,20}must use the user",
    re.IGNORECASE,
)
_USER_LAST = re.compile(
    r"last message[^\n]{0,60}\buser\b|(?:end|finish)s? with (?:a |an )?['\"`]?user\b|expected last role user"
    r"|assistant message prefill"
    r"|prefill[^\n]{0,30}not supported",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"\bprefix\b", re.IGNORECASE)
_CONTINUE = re.compile(r"continue_final_message|add_generation_prompt", re.IGNORECASE)
_USER_AFTER_TOOL = re.compile(r"['\"`]?user['\"`]? (?:role )?after (?:role )?['\"`]?tool", re.IGNORECASE)
_REASONING_MISSING = re.compile(
    r"reasoning_content[^\n]{0,80}(?:missing|must be|required|passed back|provide|include|needed)"
    r"|missing[^\n]{0,30}reasoning_content",
    re.IGNORECASE,
)
_NULL_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,80}(?:null|none\b|nil|valid string|must be a string|expected (?:a )?string"
    r"|field required|is required|missing|"
    r"not be null|invalid type)",
    re.IGNORECASE,
)
_STRING_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,80}(?:must be a string|valid string|expected (?:a )?string|should be a string"
    r"|invalid type: sequence|not a string"
    r"|only text)",
    re.IGNORECASE,
)
_EMPTY_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,60}(?:empty|blank|non-empty|non empty)|(?:empty|blank|non-empty)[^\n]{0,40}(?:content"
    r"|message|assistant)"
    r"|messages?[^\n]{0,40}(?:must not be empty|is empty|are empty)|text field[^\n]{0,60}blank",
    re.IGNORECASE,
)
_TOOL_NAME = re.compile(
    r"function_response\.name|tool (?:message|result)s?[^\n]{0,40}\bname\b|role ['\"`]?tool['\"`]?[^\n]{0,40}\bname\b",
    re.IGNORECASE,
)
_CALL_ID = re.compile(r"tool[_ ]call[_ ]?ids?|tool_calls?[\[.\]\d]{0,8}\.?id|call id|function call id", re.IGNORECASE)
_ID_LENGTH = re.compile(r"length|\blong\b|characters|a-z|pattern|at most|maximum", re.IGNORECASE)
_ONE_CALL = re.compile(
    r"(?:single|one) tool[- ]?calls?\b|parallel tool calls?[^\n]{0,20}not|multiple tool[- ]?calls?[^\n]{0,20}not", re.IGNORECASE
)
_TOOL_ROLE = re.compile(
    r"role[^\n]{0,30}['\"`]?\btool\b|\btool\b['\"`]? role|only user,? (?:and )?assistant|unexpected message role|unknown role",
    re.IGNORECASE,
)
_ROLE = re.compile(r"\brole|message|prompt|instruction", re.IGNORECASE)


def shape_messages(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Shape the messages."""
    messages = sent.get("messages")
    if not isinstance(messages, list):
        return
    text = refusal.text
    for shape in _shapes(text, messages):
        yield Finding(ShapeMessages(shape), text)
    if _CONTINUE.search(text):
        yield Finding(ContinueLast(), text)
    fields = {name for message in messages for name in message}
    for name, sentence in refused_message_fields(text):
        if name in fields - {"role", "content", "tool_calls", "tool_call_id"}:
            yield Finding(LeaveOutOfMessages(name), sentence)
    if "reasoning_content" in fields and "reasoning_content" in text and says_refused(text):
        yield Finding(LeaveOutOfMessages("reasoning_content"), text)


def _shapes(text: str, messages: list[dict[str, Any]]) -> Iterator[Shape]:
    roles = [message.get("role") for message in messages]
    contents = [message.get("content") for message in messages]
    system = any(role in ("system", "developer") for role in roles)
    refuses = [sentence for sentence in sentences(text) if says_refused(sentence)]
    if system and _SYSTEM_FIRST.search(text):
        yield "one system message first"
    elif "developer" in roles and any("developer" in sentence.lower() and _ROLE.search(sentence) for sentence in refuses):
        yield "developer message as system message"
    elif system and any(_names_system(sentence) and _ROLE.search(sentence) for sentence in refuses):
        yield "system message within the user's"
    if _ALTERNATE.search(text):
        yield "alternating roles"
        yield "user first"
    elif _USER_FIRST.search(text):
        yield "user first"
    if roles[-1:] == ["assistant"] and _PREFIX.search(text):
        yield "prefix"
    elif roles[-1:] not in (["user"], ["tool"]) and _USER_LAST.search(text):
        yield "user last"
    if "tool" in roles:
        if _USER_AFTER_TOOL.search(text):
            yield "assistant between tool and user"
        elif any(_TOOL_ROLE.search(sentence) for sentence in refuses) or "Only user" in text:
            yield "tools as text"
        if _TOOL_NAME.search(text):
            yield "named tool results"
    if any(message.get("tool_calls") for message in messages):
        if _REASONING_MISSING.search(text):
            yield "reasoning filled in"
        if _CALL_ID.search(text) and _ID_LENGTH.search(text):
            yield "short call ids"
        if _ONE_CALL.search(text):
            yield "one call a message"
    if None in contents and _NULL_CONTENT.search(text):
        yield "no null content"
    elif any(isinstance(content, list) for content in contents) and _STRING_CONTENT.search(text):
        yield "plain text"
    elif any(content is not None and not str(content).strip() for content in contents) and _EMPTY_CONTENT.search(text):
        yield "no empty content"


def _names_system(sentence: str) -> bool:
    return re.search(r"\bsystem\b|\bdeveloper\b", sentence, re.IGNORECASE) is not None
