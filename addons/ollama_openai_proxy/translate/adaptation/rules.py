"""Reads a refusal of a call and gives the changes with which the call may be taken.

Each rule is a function of the refusal and of the parameters that were sent; all rules that apply are used at once, so that a refusal
which names several things costs one further call. A rule gives nothing without which the answer would be to another question: the
model stays, and so do the messages' texts and the tools.

The sources of the wordings are the table tests of this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .changes import (
    EFFORTS,
    Add,
    AskWithoutStream,
    Clamp,
    CutInputs,
    FewerStops,
    FillBlankInputs,
    FitContext,
    KeepThinking,
    LeaveOut,
    LimitInputs,
    NearestEffort,
    is_streamed,
)
from .format_changes import FORMATS, RefuseFormats, SayJson, SchemaInWords, WrapSchema, fingerprint, is_object, schema_of
from .limits import (
    TOKEN_LIMITS,
    batch_limit,
    batch_token_limit,
    context_length,
    is_about_range,
    output_limit,
    value_range,
)
from .message_changes import ContinueLast, LeaveOutOfMessages, ShapeMessages
from .refusal_text import (
    RefusalText,
    is_quoted,
    located,
    refused_message_fields,
    refused_parameters,
    says_refused,
    sentences,
    snake_case,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .changes import Change
    from .message_changes import Shape

type Sent = Mapping[str, Any]
type Rule = Callable[[RefusalText, Sent], Iterator[Finding]]

_STATUSES = frozenset({400, 404, 413, 415, 422, 429, 500, 501})
"""500 because llama.cpp, and servers that pass the call's fields on as Python arguments, answer a refusal with it."""

_STANDARD = frozenset(
    [
        "model",
        "messages",
        "input",
        "prompt",
        "suffix",
        "stream",
        "tools",
        "dimensions",
        "encoding_format",
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "stream_options",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
    ]
)
_KEPT = frozenset({"model", "messages", "input", "prompt", "suffix", "stream", "tools"})
_YOUNGEST = ("reasoning_effort", "stream_options")
"""Of the standard parameters those that strict servers lack most often, in this order."""
_REASONING_MODELS_REFUSE = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
)
"""OpenAI's reasoning models refuse all of them, and name one: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning"""
_REASONING_MODEL = re.compile(r"unsupported (?:parameter|value): '[^\n]{1,200}with this model", re.IGNORECASE)
_WHOLE = frozenset({"top_k", "seed", "top_logprobs", "n", "max_tokens", "max_completion_tokens", "repeat_last_n"})
_MOST_STOPS = 4
"""As at OpenAI, where the text does not say."""
_DEMANDED: dict[str, str | int] = {
    "max_tokens": 4096,
    "max_completion_tokens": 4096,
    "input_type": "passage",
    "encoding_format": "float",
    "tool_choice": "auto",
}
"""Parameters that some servers insist on, with the value that changes the answer least."""

_UNNAMED = re.compile(
    r"\bextra (?:inputs?|fields?|keys?)(?: (?:are|is))? (?:not permitted|not allowed|forbidden)|\bextra_forbidden\b"
    r"|can handle the requested parameters",
    re.IGNORECASE,
)
_EFFORT_CHOICES = re.compile(
    r"\b(?:(?:supported|valid|allowed|accepted|permitted|possible|available) values?(?: are| is)?|must be|should be|expected|one of)"
    r"([^\n;]*)",
    re.IGNORECASE,
)
_EFFORT = re.compile(rf"(['\"`]?)\b({'|'.join((*EFFORTS, 'default'))})\b(['\"`]?)")
_SENTENCE_BREAK = re.compile(r"\.\s|;")
_FORMAT_CHOICES = re.compile(r"(?:must|should) be ([^\n]*)|input should be ([^\n]*)", re.IGNORECASE)
_FORMAT_WORDS = re.compile(
    r"response[_ ]?format|json[_ ]mode|json_object|json_schema|json schema|structured outputs?|response[_ ]mime[_ ]type|response_schema"
    r"|guided (?:decoding|json)|json output",
    re.IGNORECASE,
)
_TOOL_WORDS = re.compile(
    r"\btools?\b|\btool[_ -](?:use|calls?|calling)\b|\bfunction[_ -]?calling\b|\bfunctions\b", re.IGNORECASE
)
_CONFLICT = re.compile(
    r"together|combin|simultaneous|at the same time|mutually exclusive|incompatible|conflict|\bboth\b|alongside|in conjunction"
    r"|\bwith\b|\bwhen\b|\bwhile\b|\bif\b",
    re.IGNORECASE,
)
_TOGETHER = re.compile(
    r"(?:can ?not|can't|could not|must not|not) (?:be )?(?:combin|used? (?:together|simultaneously|with|in conjunction)|both)"
    r"|mutually exclusive|incompatible|conflicts? with|cannot (?:specify|use|set|enable) both|not (?:both|at the same time)",
    re.IGNORECASE,
)
_STREAM_WORDS = re.compile(r"\bstream(?:ing|ed|s)?\b", re.IGNORECASE)
_MUST_STREAM = re.compile(
    r"only supports? (?:the )?stream|must be streamed|enable (?:the )?stream|stream(?:['\"`]|ing)? must be (?:set to )?true"
    r"|set stream to true|requires? (?:stream|stream=true|streaming)|must have stream",
    re.IGNORECASE,
)
_NO_STREAM = re.compile(
    r"verified to stream|without stream|non-stream|stream(?:['\"`=: ]{1,3})?(?:must be|to|=) ?(?:set to )?false|disable stream",
    re.IGNORECASE,
)
_NOT_FOR_WHOLE = re.compile(r"enable_thinking[^\n]{0,60}(?:false)[^\n]{0,60}non-stream", re.IGNORECASE)
_MUST_THINK = re.compile(
    r"(?:thinking|reasoning)(?: mode)? (?:can ?not|can't|may not|must not) be (?:disabled|turned off|switched off)"
    r"|only works? in thinking|only supports? thinking|(?:can ?not|can't) (?:disable|turn off|switch off) (?:the )?(?:thinking|reasoning)"
    r"|(?:thinking|reasoning) is (?:mandatory|required|always)|requires? (?:thinking|reasoning)|must be thinking"
    r"|not support (?:disabling|turning off) (?:thinking|reasoning)|(?:disabling|disabled) (?:thinking|reasoning) is not",
    re.IGNORECASE,
)
_EFFORT_WORD = re.compile(r"reasoning[_ .]?effort|reasoningEffort", re.IGNORECASE)
_EFFORT_NONE = re.compile(r"(?:reasoning[_ .]?effort|effort)['\"`]?[^\n]{0,20}['\"` =]none\b", re.IGNORECASE)
_SAY_JSON = re.compile(
    r"(?:contain|include|mention|have)[^\n]{0,30}\bword['\"` ]{0,3}json\b|word ['\"`]json['\"`]", re.IGNORECASE
)
_BROKEN_SCHEMA = re.compile(
    r"invalid (?:json )?schema|schema is (?:invalid|too complex)|(?:json )?schema (?:conversion|compilation)|unsupported (?:json )?schema"
    r"|failed to (?:parse|compile|convert|build|initialize)[^\n]{0,40}(?:grammar|schema)|grammar (?:is )?(?:invalid|error|too)"
    r"|schema (?:contains|uses|has)[^\n]{0,40}(?:unsupported|not supported)|features? not supported by|too many states",
    re.IGNORECASE,
)
_TOP_OBJECT = re.compile(
    r"(?:schema|root|top)[^\n]{0,80}(?:must|should|has to|needs? to) (?:be|have)[^\n]{0,40}\bobject\b|got ['\"`]type: ['\"`]array",
    re.IGNORECASE,
)
_STOP_LIMIT = re.compile(r"(?:at most|up to|max(?:imum)?|no more than)\D{0,20}(\d{1,4})", re.IGNORECASE)
_STOP_WORD = re.compile(
    r"['\"`.$]stop['\"`]|stop (?:sequences?|strings?|words?|tokens?)|\bstop\b[^\n]{0,20}array", re.IGNORECASE
)
_REQUIRED = re.compile(
    r"(?:missing(?: required)?|field required|is required|are required|is a required|required (?:parameter|field|property|argument))",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"base64|encoding[_ ]format", re.IGNORECASE)
_BLANK = re.compile(
    r"empty|blank|non-empty|at least (?:1|one) character|min_length|too_short|not contain any|is invalid", re.IGNORECASE
)
_SYSTEM_FIRST = re.compile(
    r"system (?:message|prompt|role|instruction)s?[^\n]{0,60}(?:must|should|can only|may only|only)[^\n]{0,40}"
    r"(?:first|beginning|start|one|single|once)|only (?:the first message|one system|a single system)|(?:multiple|several|more than one)"
    r" system|only[^\n]{0,30}first message[^\n]{0,40}system",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(
    r"alternat|consecutive (?:messages|user|assistant|roles?)|same role|in a row|back[- ]to[- ]back", re.IGNORECASE
)
_USER_FIRST = re.compile(
    r"first (?:non-system )?message[^\n]{0,40}\buser\b|(?:start|begin)s? with (?:a |an )?['\"`]?user\b|first[^\n]{0,20}must use the user",
    re.IGNORECASE,
)
_USER_LAST = re.compile(
    r"last message[^\n]{0,60}\buser\b|(?:end|finish)s? with (?:a |an )?['\"`]?user\b|expected last role user|assistant message prefill"
    r"|prefill[^\n]{0,30}not supported",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"\bprefix\b", re.IGNORECASE)
_CONTINUE = re.compile(r"continue_final_message|add_generation_prompt", re.IGNORECASE)
_USER_AFTER_TOOL = re.compile(r"['\"`]?user['\"`]? (?:role )?after (?:role )?['\"`]?tool", re.IGNORECASE)
_REASONING_MISSING = re.compile(
    r"reasoning_content[^\n]{0,80}(?:missing|must be|required|passed back|provide|include|needed)|missing[^\n]{0,30}reasoning_content",
    re.IGNORECASE,
)
_NULL_CONTENT = re.compile(
    r"content[^\n]{0,80}(?:null|none\b|nil|valid string|must be a string|expected (?:a )?string|field required|is required|missing|"
    r"not be null|invalid type)",
    re.IGNORECASE,
)
_STRING_CONTENT = re.compile(
    r"content[^\n]{0,80}(?:must be a string|valid string|expected (?:a )?string|should be a string|invalid type: sequence|not a string"
    r"|only text)",
    re.IGNORECASE,
)
_EMPTY_CONTENT = re.compile(
    r"content[^\n]{0,60}(?:empty|blank|non-empty|non empty)|(?:empty|blank|non-empty)[^\n]{0,40}(?:content|message|assistant)"
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
_IMAGE_WORDS = re.compile(r"\bimages?\b|image_url|\bvision\b|image input|multimodal", re.IGNORECASE)
_WEAK_TOOL_CHOICE = re.compile(r"tool_choice|tool choice", re.IGNORECASE)
_NOT_FOUND = re.compile(
    r"not found|does not exist|not in (?:the )?(?:list of )?tools|no (?:such )?(?:tool|function)", re.IGNORECASE
)
_NO_TOOLS = re.compile(r"enable-auto-tool-choice|support tool use|tool-call-parser|\bno tools?\b", re.IGNORECASE)


class Finding(NamedTuple):
    """What a refusal teaches.

    Attributes:
        change: how the call is made instead.
        evidence: the part of the refusal's text that teaches it; "" where an error's `param` does.
    """

    change: Change
    evidence: str


@dataclass(frozen=True, slots=True)
class TooLong:
    """A conversation that is longer than the model's context.

    Attributes:
        limit: tokens that the model takes; 0 where the server does not say.
        prompt_tokens: tokens that the prompt has; 0 where the server does not say.
    """

    limit: int
    prompt_tokens: int


def findings(refusal: RefusalText, sent: Sent) -> list[Finding]:
    """All changes that a refusal asks for. None for a status, or a text, that is not about how the call was made."""
    if refusal.status not in _STATUSES or (refusal.status in (404, 429) and not _is_about_parameters(refusal, sent)):
        return []
    found: dict[Any, Finding] = {}
    handled: set[str] = set()
    for rule in _EMBEDDING_RULES if "input" in sent else _RULES:
        for finding in rule(refusal, sent):
            found.setdefault(finding.change.key, finding)
            handled.add(getattr(finding.change, "name", ""))
    if any(
        isinstance(finding.change, FitContext | NearestEffort | RefuseFormats | SchemaInWords | WrapSchema)
        for finding in found.values()
    ):
        handled |= {"reasoning_effort", "response_format", *TOKEN_LIMITS}
    for finding in _leave_out(refusal, sent):
        if getattr(finding.change, "name", "") not in handled and not _is_answered(finding, found.values()):
            found.setdefault(finding.change.key, finding)
    return list(found.values())


def too_long(refusal: RefusalText, sent: Sent) -> TooLong | None:
    """Whether a refusal says that the prompt alone leaves no room in the model's context."""
    if refusal.status not in _STATUSES or (length := context_length(refusal.text)) is None:
        return None
    limit, prompt = length.limit, _prompt_tokens(length.prompt, length.total, sent)
    asked = next((int(sent[name]) for name in TOKEN_LIMITS if isinstance(sent.get(name), int)), 0)
    if asked and limit and ((prompt and prompt < limit) or (not prompt and asked >= limit // 2)):
        return None
    if refusal.status == 429 or (not limit and asked and output_limit(refusal.text, asked)):
        return None
    return TooLong(limit, prompt or length.total)


def lacks(refusal: RefusalText, sent: Sent) -> frozenset[str]:
    """The capabilities, in Ollama's terms, that a refusal denies the model as such: `tools`, `vision`."""
    if refusal.status not in _STATUSES:
        return frozenset()
    found: set[str] = set()
    for sentence in sentences(refusal.text):
        if not (says_refused(sentence) or _NO_TOOLS.search(sentence)) or is_quoted(sentence, sent):
            continue
        others = refused_parameters(RefusalText(refusal.status, sentence, "", ""), sent) or _STREAM_WORDS.search(sentence)
        if sent.get("tools") and _TOOL_WORDS.search(sentence) and not others and not _FORMAT_WORDS.search(sentence):
            if not _WEAK_TOOL_CHOICE.search(sentence) or _NO_TOOLS.search(refusal.text):
                found.add("tools")
        if _IMAGE_WORDS.search(sentence) and _has_images(sent):
            found.add("vision")
    return frozenset(found)


def _is_about_parameters(refusal: RefusalText, sent: Sent) -> bool:
    """Whether a text that may as well be about a missing route, or about too many calls, is about parameters."""
    if refusal.status == 404:
        return says_refused(refusal.text)
    return refusal.param in sent or any(name in refusal.text for name in sent if "_" in name)


def _context(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    length = context_length(refusal.text)
    if length is None or not length.limit or too_long(refusal, sent) or not any(name in sent for name in TOKEN_LIMITS):
        return
    prompt = _prompt_tokens(length.prompt, length.total, sent)
    yield Finding(FitContext.of(length.limit, prompt if length.exact else 0, sent), refusal.text)


def _output(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    if context_length(refusal.text) is not None:
        return
    for name in TOKEN_LIMITS:
        value = sent.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        text = refusal.text
        if refusal.param == name and is_about_range(text):
            text = f"{name}: {text}"
        limit = output_limit(text, value)
        if limit:
            yield Finding(Clamp(name, None, limit), "" if refusal.param in TOKEN_LIMITS else refusal.text)
        elif limit == 0 and not says_refused(text):
            yield Finding(LeaveOut(name), "" if refusal.param in TOKEN_LIMITS else refusal.text)


def _ranges(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    places = {entry.path[0]: entry.what for entry in located(refusal.text) if len(entry.path) == 1}
    for name, value in sent.items():
        if name in TOKEN_LIMITS or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if places:
            candidates = [places[name]] if name in places else []
        else:
            spellings = (name, name.replace("_", ""), name.replace("_", " "))
            candidates = [part for part in sentences(refusal.text) if any(spelling in part.lower() for spelling in spellings)]
            if refusal.param == name:
                candidates = sentences(refusal.text)
        for sentence in candidates:
            if not is_about_range(sentence):
                continue
            if found := value_range(sentence, value, whole=name in _WHOLE):
                yield Finding(Clamp(name, found.low, found.high), "" if refusal.param == name else sentence)
                break


def _stops(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    stop = sent.get("stop")
    if not isinstance(stop, list) or not (refusal.param == "stop" or _STOP_WORD.search(refusal.text)):
        return
    limit = _STOP_LIMIT.search(refusal.text)
    if limit is None and not re.search(r"\binvalid\b|too (?:long|many)", refusal.text, re.IGNORECASE):
        return
    most = int(limit[1]) if limit else _MOST_STOPS
    if 0 < most < len(stop):
        yield Finding(FewerStops(most), "" if refusal.param == "stop" else refusal.text)


def _stream(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    if not is_streamed(sent):
        if _NOT_FOR_WHOLE.search(refusal.text):
            yield Finding(Add("enable_thinking", False, only_whole=True), refusal.text)
        return
    for sentence in sentences(refusal.text):
        named = refusal.param == "stream"
        if "stream_options" in sentence or _MUST_STREAM.search(sentence) or not (named or _STREAM_WORDS.search(sentence)):
            continue
        if says_refused(sentence) or _NO_STREAM.search(sentence):
            tools = sent.get("tools") and _TOOL_WORDS.search(sentence) is not None and not _NO_STREAM.search(sentence)
            yield Finding(AskWithoutStream(frozenset({"tools"}) if tools else frozenset()), "" if named else sentence)


def _tools_with(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """What is refused only beside tools: a format, or an effort."""
    if not sent.get("tools"):
        return
    beside = frozenset({"tools"})
    for sentence in sentences(refusal.text):
        if not _TOOL_WORDS.search(sentence):
            continue
        refuses = says_refused(sentence) or _TOGETHER.search(sentence)
        if refuses and "response_format" in sent and _FORMAT_WORDS.search(sentence) and _CONFLICT.search(sentence):
            yield Finding(RefuseFormats(FORMATS, beside), sentence)
        if refuses and _EFFORT_WORD.search(sentence):
            if _EFFORT_NONE.search(refusal.text):
                yield Finding(Add("reasoning_effort", "none", beside), "" if refusal.param == "reasoning_effort" else sentence)
            elif "reasoning_effort" in sent:
                yield Finding(LeaveOut("reasoning_effort", beside), "" if refusal.param == "reasoning_effort" else sentence)


def _thinking(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    if _MUST_THINK.search(refusal.text):
        yield Finding(KeepThinking(), refusal.text)
    elif "reasoning_effort" in sent and (efforts := _effort_choices(refusal, sent["reasoning_effort"])):
        yield Finding(NearestEffort(efforts), "" if refusal.param == "reasoning_effort" else refusal.text)


def _effort_choices(refusal: RefusalText, effort: str) -> frozenset[str]:
    """The values that are said to be taken in place of `effort`."""
    text = refusal.text
    named = refusal.param == "reasoning_effort" or _EFFORT_WORD.search(text) is not None
    if refusal.param in _KEPT or (_TOOL_WORDS.search(text) and named and _EFFORT_NONE.search(text)):
        return frozenset()
    choices = _EFFORT_CHOICES.search(text)
    if choices is None:
        return frozenset()
    listed = _SENTENCE_BREAK.split(choices[1].split("'input'")[0], maxsplit=1)[0]
    found = {match[2] for match in _EFFORT.finditer(listed) if named or (match[1] and match[3])}
    return frozenset(found) - {effort} if named or len(found) > 1 else frozenset()


def _formats(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    form = sent.get("response_format")
    if not isinstance(form, dict) or refusal.param in _KEPT - {"messages"}:
        return
    kind, text = form.get("type"), refusal.text
    named = refusal.param == "response_format"
    if kind == "json_object" and _SAY_JSON.search(text):
        yield Finding(SayJson(), "" if refusal.param == "messages" else text)
        return
    if refusal.param in _KEPT:
        return
    schema = schema_of(form)
    if schema is not None and not is_object(schema) and _TOP_OBJECT.search(text):
        yield Finding(WrapSchema(), "" if named else text)
    elif schema is not None and _BROKEN_SCHEMA.search(text):
        yield Finding(SchemaInWords(fingerprint(schema)), "" if named else text)
    elif _format_refused(refusal, str(kind)):
        # Where it is not said that a schema can stand for it, only the simpler way is left to try.
        types = {str(kind)} | (set() if "json_schema" in text else {"json_schema"})
        yield Finding(RefuseFormats(frozenset(types)), "" if named else text)


def _format_refused(refusal: RefusalText, kind: str) -> bool:
    text = refusal.text
    if "response_format" in text or refusal.param == "response_format":
        for choices in _FORMAT_CHOICES.finditer(text):
            listed = (choices[1] or choices[2]).split("'input'")[0]
            if any(name in listed for name in ("'text'", '"text"', "`text`", "json_object", "json_schema")):
                return kind not in listed
    if refusal.param == "response_format":
        return says_refused(text)
    if any(entry.path[:1] == ("response_format",) for entry in located(text)):
        return True
    return any(_FORMAT_WORDS.search(sentence) and says_refused(sentence) for sentence in sentences(text))


def _tool_choice(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    if "tool_choice" not in sent or _NOT_FOUND.search(refusal.text) or _NO_TOOLS.search(refusal.text):
        return
    for sentence in sentences(refusal.text):
        if _WEAK_TOOL_CHOICE.search(sentence) or refusal.param == "tool_choice":
            if (
                says_refused(sentence)
                or _TOGETHER.search(sentence)
                or re.search(r"must|invalid|only|should", sentence, re.IGNORECASE)
            ):
                yield Finding(LeaveOut("tool_choice"), "" if refusal.param == "tool_choice" else sentence)


def _demands(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    for sentence in sentences(refusal.text):
        if not _REQUIRED.search(sentence):
            continue
        for name, value in _DEMANDED.items():
            if name not in sent and (
                refusal.param == name or re.search(rf"(?<![\w])(?:body\.)?{name}(?!\w)", snake_case(sentence))
            ):
                if name == "tool_choice" and not sent.get("tools"):
                    continue
                yield Finding(Add(name, value, replaces=False), "" if refusal.param == name else sentence)


def _messages(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
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


def _inputs(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    texts = sent["input"]
    if not isinstance(texts, list):
        return
    text = refusal.text
    if any(not entry.strip() for entry in texts if isinstance(entry, str)) and _BLANK.search(text):
        yield Finding(FillBlankInputs(), text)
        return
    if sent.get("encoding_format") == "base64" and _BASE64.search(text):
        yield Finding(Add("encoding_format", "float"), text)
        return
    if (tokens := batch_token_limit(text, refusal.status)) is not None and len(texts) > 1:
        estimate = sum(map(len, texts)) // 2
        yield Finding(LimitInputs(tokens=tokens or max(estimate // 4, 1)), text)
    elif (length := context_length(text)) is not None:
        longest = max(map(len, texts), default=0)
        if length.limit and length.prompt > length.limit:
            characters = int(longest * length.limit / length.prompt * 0.9)
        else:
            characters = length.limit * 2 if length.limit else longest // 2
        if 0 < characters < longest:
            yield Finding(CutInputs(characters), text)
    elif most := batch_limit(text, refusal.status, len(texts)):
        yield Finding(LimitInputs(inputs=most), text)


def _leave_out(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    refused = [entry for entry in refused_parameters(refusal, sent) if entry.name not in _KEPT | {"response_format"}]
    for entry in refused:
        beside = frozenset({"tools"}) if entry.beside and sent.get("tools") and entry.name != "tool_choice" else frozenset()
        yield Finding(LeaveOut.of(entry.name, beside), entry.evidence)
    if any(entry.name in _REASONING_MODELS_REFUSE for entry in refused) and _REASONING_MODEL.match(refusal.text):
        for name in _REASONING_MODELS_REFUSE:
            if name in sent:
                yield Finding(LeaveOut(name), refused[0].evidence)
    if not refused and not refusal.param and _UNNAMED.search(refusal.text) and not located(refusal.text):
        further = [name for name in sent if name not in _STANDARD] or [name for name in _YOUNGEST if name in sent][:1]
        for name in further:
            yield Finding(LeaveOut(name), refusal.text)


def _is_answered(finding: Finding, found: Any) -> bool:
    """Whether another change already deals with what a parameter is refused for."""
    changes = [other.change for other in found]
    if isinstance(finding.change, LeaveOut) and finding.change.name in ("thinking", "reasoning", "enable_thinking"):
        return any(isinstance(change, KeepThinking) for change in changes)
    return False


def _prompt_tokens(prompt: int, total: int, sent: Sent) -> int:
    if prompt:
        return prompt
    asked = next((int(sent[name]) for name in TOKEN_LIMITS if isinstance(sent.get(name), int)), 0)
    return total - asked if total > asked else 0


def _names_system(sentence: str) -> bool:
    return re.search(r"\bsystem\b|\bdeveloper\b", sentence, re.IGNORECASE) is not None


def _has_images(sent: Sent) -> bool:
    return any(
        isinstance(part, dict) and part.get("type") == "image_url"
        for message in sent.get("messages") or ()
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


_RULES: tuple[Rule, ...] = (
    _context,
    _output,
    _ranges,
    _stops,
    _stream,
    _tools_with,
    _thinking,
    _formats,
    _tool_choice,
    _demands,
    _messages,
)
_EMBEDDING_RULES: tuple[Rule, ...] = (_inputs, _demands)
