"""Compares what a client got with what the back end meant to say."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from .cases import ELSEWHERE
from .delivery import delivery_of, refusal_text
from .intents import Answer, Call, intent_of

if TYPE_CHECKING:
    from .cases import Case
    from .clients import Seen
    from .delivery import Delivery

OK = 200
REQUEST_TIMEOUT = 408


class Verdict(StrEnum):
    """What an answer is."""

    RIGHT = "right"
    ERROR = "error"
    LEFT = "left"
    TRUNCATED = "truncated"
    WRONG = "wrong"
    HANG = "hang"


class Judgement(NamedTuple):
    """A verdict with its reason."""

    verdict: Verdict
    why: str = ""


def judge(case: Case, seen: Seen, *, may_break: bool = False, only_right: bool = False, only_error: bool = False) -> Judgement:
    """What an answer is.

    Args:
        case: what was tried.
        seen: what came.
        may_break: whether the connection may break, or not come about, since the proxy is stopped or has no files left.
        only_right: whether an error is wrong, whatever the case says.
        only_error: whether only an error is right.
    """
    if case.leaves:
        return Judgement(Verdict.LEFT)
    if seen.end == "hang":
        return Judgement(Verdict.HANG, f"no end after {seen.seconds:.1f} s, status {seen.status or 'unknown'}")
    broken = case.fault in ("cut", "reset", "stall")
    if seen.end == "cut" and broken and case.relayed and case.whole and delivery_of(case, "/").content.startswith(seen.body):
        # Nothing can be said of a break in the middle of one object whose size is not known, relayed as it comes.
        return Judgement(Verdict.ERROR, "the connection was cut as the back end's was")
    if seen.end == "cut" and case.call == "v1" and b'"error"' in seen.body:
        # Completions are cut behind an error event, which some clients ignore.
        seen = replace(seen, end="whole")
    if seen.end != "whole":
        what = {"refused": "no connection", "none": "no answer", "cut": "an answer without an end"}.get(seen.end, seen.end)
        verdict = Verdict.ERROR if may_break and seen.end != "nonsense" else Verdict.WRONG
        return Judgement(verdict, f"{what} ({seen.trouble or 'the connection ended'})")
    if case.manner.startswith("linger"):
        # At that point the proxy does not know yet which API is meant.
        if seen.status == REQUEST_TIMEOUT and b'"error"' in seen.body:
            return Judgement(Verdict.ERROR)
        return Judgement(Verdict.WRONG, f"half a request was answered with status {seen.status}")
    # Translate mode follows a redirect within the site; fix mode leaves that to the client.
    delivery = delivery_of(case, "/" if case.mode == "fix" else "/?again")
    if delivery.coding:
        # It is unpacked, so that keys are found in it.
        delivery = replace(delivery, content=gzip.decompress(delivery.content), coding="")
    judgement = (_relayed if case.relayed else _translated)(case, delivery, seen, may_break or only_error)
    if only_right and judgement.verdict is Verdict.ERROR:
        return Judgement(Verdict.WRONG, f"an error where nothing was wrong: {judgement.why}")
    if only_error and judgement.verdict is Verdict.RIGHT:
        return Judgement(Verdict.WRONG, "an answer where there could be none")
    return judgement


def _translated(case: Case, delivery: Delivery, seen: Seen, any_error: bool) -> Judgement:
    allowed = _outcomes(case, delivery)
    if seen.status != OK:
        return _refused(case, seen, allowed, any_error)
    intent = _comparable(case, intent_of(case))
    try:
        told = _comparable(case, _messages(seen.body) if case.call == "messages" else _ollama(seen.body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Judgement(Verdict.WRONG, f"the answer has no proper form: {type(error).__name__} {error}")
    for wanted, got in ((intent.text, told.text), (intent.thinking, told.thinking)):
        if not wanted.startswith(got) and case.fault != "odd":
            return Judgement(Verdict.WRONG, _difference(wanted, got))
    if told.error is not None:
        if any_error or Verdict.ERROR in allowed:
            return Judgement(Verdict.ERROR, told.error) if told.error else Judgement(Verdict.WRONG, "an error without a text")
        return Judgement(Verdict.WRONG, f"an error where nothing was wrong: {told.error}")
    if not told.finish:
        return Judgement(Verdict.TRUNCATED, f"the answer ends after {len(told.text)} characters without saying so")
    if Verdict.RIGHT not in allowed or (told.text, told.thinking) != (intent.text, intent.thinking):
        if case.fault == "odd":
            return Judgement(Verdict.WRONG, _difference(intent.text, told.text))
        return Judgement(
            Verdict.TRUNCATED, f"it looks finished ({told.finish}) after {len(told.text)} of {len(intent.text)} characters"
        )
    return _details(case, delivery, intent, told)


def _comparable(case: Case, answer: Answer) -> Answer:
    """The answer in one piece. White space before the text and around the thinking may be left out, as Ollama does it."""
    text, thinking = answer.text, answer.thinking
    if case.call != "raw":
        text, thinking = text.lstrip(), thinking.strip()
    return replace(answer, pieces=[text], thoughts=[thinking])


def _details(case: Case, delivery: Delivery, intent: Answer, told: Answer) -> Judgement:
    if told.calls != intent.calls and case.fault != "odd":
        return Judgement(Verdict.WRONG, f"tool calls {told.calls} instead of {intent.calls}")
    if case.call == "messages":
        finishes = {{"length": "max_tokens", "tool_calls": "tool_use"}.get(intent.finish, "end_turn")}
    else:
        finishes = {"length" if intent.finish == "length" else "stop"}
    if not (b'"finish_reason":"' in delivery.content or b'"finish_reason": "' in delivery.content):
        finishes |= {"stop", "end_turn", "tool_use"}
    if told.finish not in finishes:
        return Judgement(Verdict.WRONG, f"it finished with {told.finish!r} instead of {finishes}")
    counted = b'"total_tokens"' in delivery.content and delivery.stop == len(delivery.wire) and case.fault != "odd"
    if counted and told.counts and told.counts != intent.counts:
        return Judgement(Verdict.WRONG, f"it counts {told.counts} tokens instead of {intent.counts}")
    return Judgement(Verdict.RIGHT)


def _outcomes(case: Case, delivery: Delivery) -> set[Verdict]:
    """What an answer may be."""
    either = {Verdict.RIGHT, Verdict.ERROR}
    match case.fault:
        case "cut" | "reset" | "stall":
            if delivery.stop < delivery.finish:
                return {Verdict.ERROR}
            # What a back end has said to the end is complete, however it says goodbye. An error is honest, too.
            return either if delivery.stop < len(delivery.wire) else {Verdict.RIGHT}
        case "type":
            return either if "json" in delivery.type and not case.relayed else {Verdict.RIGHT}
        case "odd":
            return {Verdict.RIGHT} if case.relayed else either
        case "error" | "garbage":
            # Only a stream has a middle.
            return {Verdict.RIGHT} if case.relayed else {Verdict.ERROR}
        case "status" | "html" | "loop":
            return {Verdict.ERROR}
    return {Verdict.ERROR} if case.fault in ELSEWHERE else {Verdict.RIGHT}


def _refused(case: Case, seen: Seen, allowed: set[Verdict], any_error: bool) -> Judgement:
    text = _error_of(case, seen)
    if not text:
        return Judgement(Verdict.WRONG, f"status {seen.status} without an error in the API's form")
    if not any_error and Verdict.ERROR not in allowed:
        return Judgement(Verdict.WRONG, f"status {seen.status} where nothing was wrong: {text}")
    if "<" in text and case.fault == "html":
        return Judgement(Verdict.WRONG, f"an error with HTML in it: {text}")
    # Ollama's clients take a 404 for a model that is not there, so a call that is not there is told with another status.
    statuses = {case.size, 501} if case.size in (404, 405, 501) and not case.call.startswith("v1") else {case.size}
    if case.fault == "status" and not any_error and not (seen.status in statuses and refusal_text(case) in text):
        return Judgement(Verdict.WRONG, f"status {seen.status} and {text!r} instead of what the back end said")
    return Judgement(Verdict.ERROR, text)


def _relayed(case: Case, delivery: Delivery, seen: Seen, any_error: bool) -> Judgement:
    allowed = _outcomes(case, delivery)
    if case.fault in ELSEWHERE:
        return _refused(case, seen, allowed, any_error)
    done = seen.body.rstrip(b"\r\n").endswith(b"data: [DONE]")
    if case.call == "v1" and seen.status == OK and done and seen.body.strip() == delivery.content.strip():
        # The empty line that ends the last event may be the proxy's.
        return Judgement(Verdict.RIGHT)
    if (seen.status, seen.body) == (delivery.status, delivery.content):
        return _unchanged(case, delivery, seen, allowed)
    if seen.status >= 500 and (text := _error_of(case, seen)):
        if any_error or (Verdict.ERROR in allowed and (delivery.status == OK or case.fault == "loop")):
            return Judgement(Verdict.ERROR, text)
        return Judgement(Verdict.WRONG, f"status {seen.status} where nothing was wrong: {text}")
    if seen.status != delivery.status:
        return Judgement(Verdict.WRONG, f"status {seen.status} instead of {delivery.status}")
    if delivery.content.startswith(seen.body):
        return Judgement(Verdict.TRUNCATED, f"it ends after {len(seen.body)} of {len(delivery.content)} bytes")
    said, error = _last_words(case, seen.body)
    while said.endswith(b"\n") and not delivery.content.startswith(said):
        said = said[:-1]  # empty lines that end an event which may have been begun
    if not error or not delivery.content.startswith(said) or not (said.endswith(b"\n") or not said):
        return Judgement(Verdict.WRONG, _difference(delivery.content, seen.body))
    if any_error or Verdict.ERROR in allowed:
        return Judgement(Verdict.ERROR, error)
    return Judgement(Verdict.WRONG, f"an error where nothing was wrong: {error}")


def _unchanged(case: Case, delivery: Delivery, seen: Seen, allowed: set[Verdict]) -> Judgement:
    kind, coding = seen.headers.get("content-type", ""), seen.headers.get("content-encoding", "")
    if (kind, coding) != (delivery.type, delivery.coding):
        return Judgement(Verdict.WRONG, f"it came as {kind!r} {coding!r} instead of {delivery.type!r} {delivery.coding!r}")
    if delivery.location and not seen.headers.get("location"):
        return Judgement(Verdict.WRONG, "a redirect to nowhere")
    if case.fault in ("status", "html", "loop", "redirect"):
        return Judgement(Verdict.ERROR, f"status {seen.status}") if seen.status >= 400 else Judgement(Verdict.RIGHT)
    if Verdict.RIGHT in allowed:
        return Judgement(Verdict.RIGHT)
    return Judgement(Verdict.TRUNCATED, "an answer that was cut looks whole")


def _last_words(case: Case, body: bytes) -> tuple[bytes, str]:
    """What was said before an error that ends a stream, and the error."""
    try:
        if case.call.startswith("v1"):
            # An empty line ends an event that was begun.
            said, _, event = (b"\n" + body).rpartition(b"\ndata: ")
            return said[1:] + b"\n" if said else b"", _openai_error(json.loads(event))
        said, _, frame = body.rstrip(b"\n").rpartition(b"\n")
        return said + b"\n" if said else b"", str(json.loads(frame)["error"])
    except (ValueError, KeyError, TypeError):
        return body, ""


def _openai_error(answer: dict[str, Any]) -> str:
    return str(answer["error"]["message"])


def _error_of(case: Case, seen: Seen) -> str:
    """The text of an error that is a whole answer; "" where it has none, or not the form of its API."""
    try:
        answer = json.loads(seen.body)
        if case.call.startswith("v1") or (case.call == "messages" and answer["type"] == "error"):
            return _openai_error(answer)
        return str(answer["error"]) if isinstance(answer["error"], str) else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _difference(wanted: str | bytes, got: str | bytes) -> str:
    where = next((n for n, (one, other) in enumerate(zip(wanted, got, strict=False)) if one != other), None)
    where = min(len(wanted), len(got)) if where is None else where
    begin = max(where - 20, 0)
    return f"at {where} it says {got[begin : where + 60]!r} instead of {wanted[begin : where + 60]!r}"


# -- What clients of an API understand ---------------------------------------------------------------------------------


def _ollama(body: bytes) -> Answer:
    told = Answer()
    for line in filter(None, body.split(b"\n")):
        if told.finish or told.error is not None:
            raise ValueError(f"something after the end: {line[:100]!r}")
        frame = json.loads(line)
        if "error" in frame:
            told.error = frame["error"]
            continue
        message = frame["message"] if "message" in frame else {"content": frame["response"]} | frame
        told.pieces.append(message["content"])
        told.thoughts.append(message.get("thinking", ""))
        functions = [call["function"] for call in message.get("tool_calls", ())]
        told.calls += [Call(function["name"], function["arguments"]) for function in functions]
        if frame["done"]:
            told.finish = frame["done_reason"]
            told.counts = (frame["prompt_eval_count"], frame["eval_count"])
            if min(frame[name] for name in ("total_duration", "load_duration", "eval_duration")) <= 0:
                raise ValueError("a duration that is not above zero")
    return told


def _messages(body: bytes) -> Answer:
    told = Answer()
    names, arguments = list[str](), list[str]()
    finish = ""
    for line in body.split(b"\n"):
        if not line.startswith(b"data: "):
            continue
        if told.finish or told.error is not None:
            raise ValueError(f"something after the end: {line[:100]!r}")
        event = json.loads(line[6:])
        match event["type"]:
            case "error":
                told.error = event["error"]["message"]
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                names.append(event["content_block"]["name"])
                arguments.append("")
            case "content_block_delta":
                told.pieces.append(event["delta"].get("text", ""))
                told.thoughts.append(event["delta"].get("thinking", ""))
                if "partial_json" in event["delta"]:
                    arguments[-1] += event["delta"]["partial_json"]
            case "message_delta":
                finish = event["delta"]["stop_reason"]
            case "message_stop":
                told.finish = finish
                told.calls = [Call(name, json.loads(text or "{}")) for name, text in zip(names, arguments, strict=True)]
    return told
