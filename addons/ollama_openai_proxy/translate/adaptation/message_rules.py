"""Rules for the shape of a conversation: roles, their order, and the fields of messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .finding import Finding
from .message_changes import ContinueLast, LeaveOutOfMessages, ShapeMessages
from .refusal_text import (
    PLAIN_WORD,
    RefusalText,
    refused_message_fields,
    says_refused,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .finding import Sent
    from .message_changes import Shape

_SYSTEM_FIRST = re.compile(
    r"system (?:message|prompt|role|instruction)s?[^\n]{0,60}(?:must|should|can only|may only|only)[^\n]{0,40}"
    r"(?:first|beginning|start|one|single|once)|only (?:the first message|one system|a single system)|(?:multiple"
    r"|several|more than one)"
    r" system|only[^\n]{0,30}first message[^\n]{0,40}system|system messages? (?:must |should )?precede"
    r"|first message[^\n]{0,10} be (?:a |the )?['\"`]?system",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(
    r"alternat|(?:consecutive|successive) (?:messages|user|assistant|roles?)|same role|in a row|back[- ]to[- ]back|interleav"
    r"|in the order (?:of )?user|\b(?:odd|even) (?:number|index|position)",
    re.IGNORECASE,
)
_USER_FIRST = re.compile(
    r"first (?:non-system )?(?:message|content|turn|item)[^\n]{0,40}\buser\b|no user (?:query|message|turn|prompt)"
    r"|(?:at least one|contain a|must have a) user message|(?:start|begin)s? with (?:a |an )?['\"`]?user\b"
    r"|first[^\n]{0,20}must use the user",
    re.IGNORECASE,
)
_USER_LAST = re.compile(
    r"last message[^\n]{0,60}\buser\b|(?:end|finish)s? with (?:a |an )?['\"`]?user\b|expected last role user"
    r"|assistant message prefill"
    r"|pre-?fill[^\n]{0,60}(?:not|unsupported|incompatible)|final assistant (?:turn|message)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"\bprefix\b", re.IGNORECASE)
_CONTINUE = re.compile(r"continue_final_message|add_generation_prompt", re.IGNORECASE)
_USER_AFTER_TOOL = re.compile(
    r"['\"`]?user['\"`]? (?:role )?after (?:role )?['\"`]?tool"
    r"|after (?:a )?['\"`]?tool['\"`]? (?:message|role|result)s?[^\n]{0,40}assistant"
    r"|tool['\"`]? (?:must|should) be followed by[^\n]{0,20}assistant",
    re.IGNORECASE,
)
_REASONING_MISSING = re.compile(
    r"reasoning_content[^\n]{0,80}(?:missing|must be|required|passed back|provide|include|needed|expected|empty|blank)"
    r"|(?:missing|must|should|needs?|requires?|include|pass|return)[^\n]{0,60}reasoning_content",
    re.IGNORECASE,
)
_NULL_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,80}(?:null|none\b|nil|valid string|must be a string|expected (?:a )?string"
    r"|field required|is required|missing|"
    r"not be null|invalid type)"
    r"|missing field [`'\"]content|\bnonetype\b",
    re.IGNORECASE,
)
_STRING_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,80}(?:must be a string|valid string|expected (?:a )?string|should be a string"
    r"|invalid type: sequence|not a string"
    r"|only text)",
    re.IGNORECASE,
)
_NO_LIST = re.compile(
    # serde, Go, Python, Jackson, sonic, others.
    r"invalid type: sequence, expected a string|unmarshal array\b|concatenate str \(not ['\"]list"
    r"|'list' object has no attribute"
    r"|String` from Array value|type string with value array|content type: list",
    re.IGNORECASE,
)
_EMPTY_CONTENT = re.compile(
    r"(?<![a-z_])content[^\n]{0,60}(?:empty|blank|non-empty|non empty)|(?:empty|blank|non-empty)[^\n]{0,40}(?:content"
    r"|message|assistant)"
    r"|messages?[^\n]{0,40}(?:must not be empty|is empty|are empty|no content)|text field[^\n]{0,60}blank"
    r"|input must not be empty|must have (?:either )?(?:a )?(?:content|text)\b"
    r"|(?:length|character)[^\n]{0,40}\bcontent\b|\bcontent\b[^\n]{0,40}(?:min(?:imum)? length|at least (?:1|one) character)",
    re.IGNORECASE,
)
_TOOL_NAME = re.compile(
    r"\bname\b[^\n]{0,30}(?:role tool|tool message)"
    r"|function_response\.name|tool (?:message|result)s?[^\n]{0,40}\bname\b|role ['\"`]?tool['\"`]?[^\n]{0,40}\bname\b",
    re.IGNORECASE,
)
_CALL_ID = re.compile(
    r"tool_use(?:\.|_)id|tool[_ ]call[_ ]?ids?|tool_calls?[\[.\]\d]{0,8}\.?id|call id|function call id", re.IGNORECASE
)
_ID_LENGTH = re.compile(r"length|\blong\b|characters|a-z|pattern|at most|maximum", re.IGNORECASE)
_ONE_CALL = re.compile(
    r"(?:single|one) tool[- ]?calls?\b|parallel tool calls?[^\n]{0,20}not|multiple tool[- ]?calls?[^\n]{0,20}not", re.IGNORECASE
)
_ROLES_TAKEN = re.compile(r"must be|should be|one of|permitted|allowed|expected|supported values are|\bonly\b", re.IGNORECASE)
_OF_ORDER = re.compile(r"\b(?:last|first|after|next|final|begin|start|end|order|previous)", re.IGNORECASE)
_INVALID_ROLE = re.compile(
    r"(?:invalid|unknown|unexpected|unsupported|unrecognized)[^\n]{0,30}\brole\W{0,4}(system|developer|tool)\b", re.IGNORECASE
)
_SIGNATURE = re.compile(r"thought_?signature", re.IGNORECASE)
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
    for shape in _shapes(refusal, messages):
        yield Finding(ShapeMessages(shape), text)
    if _CONTINUE.search(text):
        yield Finding(ContinueLast(), text)
    fields = {name for message in messages for name in message}
    for name, sentence in refused_message_fields(text):
        if name in fields - {"role", "content", "tool_calls", "tool_call_id"}:
            yield Finding(LeaveOutOfMessages(name), sentence)
    if _reasoning_refused(fields, text):
        yield Finding(LeaveOutOfMessages("reasoning_content"), text)


def _shapes(refusal: RefusalText, messages: list[dict[str, Any]]) -> Iterator[Shape]:
    text = refusal.text
    roles = [message.get("role") for message in messages]
    contents = [message.get("content") for message in messages]
    system = any(role in ("system", "developer") for role in roles)
    refuses = [sentence for sentence in sentences(text) if says_refused(sentence)]
    if system and _SYSTEM_FIRST.search(text):
        yield "one system message first"
    elif "developer" in roles and any("developer" in sentence.lower() and _ROLE.search(sentence) for sentence in refuses):
        yield "developer message as system message"
    elif system and (
        any(_names_system(sentence) and _ROLE.search(sentence) for sentence in refuses) or _refuses_role("system", refusal)
    ):
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
        elif any(_TOOL_ROLE.search(sentence) for sentence in refuses) or _refuses_role("tool", refusal):
            yield "tools as text"
        if _TOOL_NAME.search(text):
            yield "named tool results"
    if any(message.get("tool_calls") for message in messages):
        if _REASONING_MISSING.search(text) and not _reasoning_refused({"reasoning_content"}, text):
            yield "reasoning filled in"
        if _CALL_ID.search(text) and _ID_LENGTH.search(text):
            yield "short call ids"
        if _ONE_CALL.search(text):
            yield "one call a message"
        if _SIGNATURE.search(text):
            yield "signatures filled in"
    if None in contents and _NULL_CONTENT.search(text):
        yield "no null content"
    elif any(isinstance(content, list) for content in contents) and (_STRING_CONTENT.search(text) or _NO_LIST.search(text)):
        yield "plain text"
    elif any(content is not None and not str(content).strip() for content in contents) and _EMPTY_CONTENT.search(text):
        yield "no empty content"


def _reasoning_refused(fields: Collection[str], text: str) -> bool:
    return "reasoning_content" in fields and any(
        "reasoning_content" in sentence and says_refused(sentence) for sentence in sentences(text)
    )


def _refuses_role(role: str, refusal: RefusalText) -> bool:
    """Whether a text says that a role is none, or lists the roles that are taken without the role."""
    about_roles = "role" in refusal.path or "role" in refusal.text.lower()
    for sentence in sentences(refusal.text):
        if _OF_ORDER.search(sentence):
            continue
        names = {match[1].lower() for match in _INVALID_ROLE.finditer(sentence)}
        if role in names or (role == "system" and "developer" in names):
            return True
        lists = _ROLES_TAKEN.search(sentence)
        listed = set(PLAIN_WORD.findall(sentence[lists.end() :].lower())) if lists else set()
        named = about_roles or f"`{role}`" in sentence
        if named and {"user", "assistant"} <= listed and role not in listed:
            return True
    return False


def _names_system(sentence: str) -> bool:
    return re.search(r"\bsystem\b|\bdeveloper\b", sentence, re.IGNORECASE) is not None
