"""What is learned of a model holds for its further calls, for an hour, and only if the server said it and not a client."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.changes import KINDS, AskWithoutStream, LeaveOut
from ollama_openai_proxy.translate.adaptation.embedding_changes import CutInputs
from ollama_openai_proxy.translate.adaptation.learned import (
    LIFETIME,
    MOST_ATTEMPTS,
    MOST_LESSONS,
    MOST_MODELS,
    Attempts,
    LearnedByModel,
    Missing,
    kind_of,
)

from tests.unit.clock import Clock

CALL: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def book(clock: Clock) -> LearnedByModel:
    return LearnedByModel(clock)


def refuse(book: LearnedByModel, sent: dict[str, Any], text: str, param: str | None = None, status: int = 400) -> Attempts:
    attempts = book.attempts(sent)
    assert attempts.learn(status, text, param).again
    attempts.confirm()
    return attempts


def test_the_second_call_begins_with_what_the_first_has_learned(book: LearnedByModel) -> None:
    refuse(book, CALL | {"top_k": 4}, "Unknown parameter: 'top_k'.", "top_k")
    assert book.attempts(CALL | {"top_k": 8}).call.parameters == CALL


def test_lessons_are_for_one_model_and_one_kind_of_call(book: LearnedByModel) -> None:
    refuse(book, CALL | {"seed": 4}, "Unknown parameter: 'seed'.", "seed")
    for other in (
        CALL | {"model": "n", "seed": 4},
        {"model": "m", "prompt": "x", "seed": 4},
        {"model": "m", "input": [], "seed": 4},
    ):
        assert book.attempts(other).call.parameters == other


@pytest.mark.parametrize(
    ("parameters", "kind"), [({"messages": []}, "chat"), ({"prompt": ""}, "completion"), ({"input": []}, "embedding")]
)
def test_calls_are_of_three_kinds(parameters: dict[str, Any], kind: str) -> None:
    assert kind_of(parameters) == kind


def test_a_lesson_is_forgotten_after_an_hour(book: LearnedByModel, clock: Clock) -> None:
    sent = CALL | {"top_k": 4}
    refuse(book, sent, "Unknown parameter: 'top_k'.", "top_k")
    clock.now += LIFETIME - 1
    assert book.attempts(sent).call.parameters == CALL
    clock.now += 1
    assert book.attempts(sent).call.parameters == sent


def test_what_did_not_help_is_not_remembered(book: LearnedByModel) -> None:
    sent = CALL | {"seed": 4}
    attempts = book.attempts(sent)
    assert attempts.learn(400, "Unknown parameter: 'seed'.", None).again
    assert not attempts.learn(400, "Unknown parameter: 'seed'.", None).again
    assert book.attempts(sent).call.parameters == sent


def test_another_refusal_confirms_what_was_learned_before(book: LearnedByModel) -> None:
    sent = CALL | {"seed": 4, "top_p": 0.1}
    attempts = book.attempts(sent)
    assert attempts.learn(400, "Unknown parameter: 'seed'.", None).again
    assert not attempts.learn(400, "The server is out of order", None).again
    assert book.attempts(sent).call.parameters == CALL | {"top_p": 0.1}


def test_a_call_that_went_out_before_another_one_learned_is_made_again(book: LearnedByModel) -> None:
    sent = CALL | {"max_tokens": 5}
    first, second = book.attempts(sent), book.attempts(sent)
    for attempts in (first, second):
        lesson = attempts.learn(400, "Unsupported parameter: 'max_tokens'", "max_tokens")
        assert lesson.again
        attempts.confirm()
        assert attempts.call.parameters == CALL | {"max_completion_tokens": 5}


def test_a_server_that_refuses_one_thing_after_the_other_costs_one_call_for_each_kind(book: LearnedByModel) -> None:
    sent = CALL | {
        "temperature": 3,
        "seed": 1,
        "max_tokens": 90000,
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function"}],
    }
    refusals = [
        "temperature must be in [0, 2]",
        "max_tokens must be at most 4096",
        "Unknown parameter: 'seed'",
        "json mode cannot be combined with tool calling",
        "Streaming is not supported",
    ]
    attempts = book.attempts(sent)
    for text in refusals:
        assert attempts.learn(400, text, None).again
    attempts.confirm()
    assert {change.kind for change in book.of("m", "chat").changes} == {"lower", "leave_out", "rebuild", "no_stream"}
    assert book.attempts(sent).call == attempts.call


def test_the_calls_of_one_request_are_limited(book: LearnedByModel) -> None:
    sent = CALL | {f"option_{number}": number for number in range(20)}
    attempts = book.attempts(sent)
    made = 1
    while attempts.learn(400, f"Unknown parameter: 'option_{made}'", None).again:
        made += 1
    assert made == MOST_ATTEMPTS


def test_nothing_is_learned_where_that_is_forbidden(clock: Clock) -> None:
    book = LearnedByModel(clock, enabled=False)
    attempts = book.attempts(CALL | {"top_k": 4})
    assert not attempts.learn(400, "Unknown parameter: 'top_k'.", "top_k").again
    assert attempts.call.parameters == CALL | {"top_k": 4}
    book.of("m", "chat").remember([LeaveOut("top_k")])
    assert book.attempts(CALL | {"top_k": 4}).call.parameters == CALL | {"top_k": 4}


def test_changes_of_some_classes_can_be_excluded(book: LearnedByModel) -> None:
    sent = {"model": "m", "input": ["a" * 1000]}
    attempts = book.attempts(sent, (CutInputs,))
    lesson = attempts.learn(400, "input is too long", None)
    assert not lesson.again
    assert lesson.too_long is not None
    book.of("m", "embedding").remember([CutInputs(5)])
    assert book.attempts(sent, (CutInputs,)).call.parameters == sent
    assert book.attempts(sent).call.parameters == {"model": "m", "input": ["aaaaa"]}


def test_lessons_and_models_are_limited(book: LearnedByModel) -> None:
    learned = book.of("m", "chat")
    learned.remember([LeaveOut(f"option_{number}") for number in range(MOST_LESSONS + 5)])
    assert len(learned.changes) == MOST_LESSONS
    for number in range(MOST_MODELS):
        book.of(f"model {number}", "chat")
    assert book.of("m", "chat").changes == []


# -- Words of clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "Why do I read that temperature is not supported?",
            "Invalid prompt: why do I read that temperature is not supported?",
        ),
        ("Unsupported temperature", 'The model refused to answer "Unsupported temperature", sorry'),
        ("parameter temperature is not supported", "content filter: «parameter temperature is not supported»"),
        ("max_tokens must be at most 256 for everybody", "blocked: max_tokens must be at most 256 for everybody"),
        ("System role not supported by any model", "moderation of: System role not supported by any model"),
        ("Streaming is not supported for this model", "flagged text: Streaming is not supported for this model"),
    ],
)
def test_a_quotation_of_the_clients_words_changes_nobody_elses_calls(book: LearnedByModel, words: str, text: str) -> None:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": words}]}]
    options = {"temperature": 0.5, "max_tokens": 5000}
    attempts = book.attempts(CALL | options | {"messages": messages})
    attempts.learn(400, text, None)
    attempts.confirm()
    other = CALL | options | {"messages": [messages[0], {"role": "user", "content": "hi"}]}
    assert book.attempts(other).call.parameters == other


def test_what_the_server_says_beside_a_quotation_is_learned(book: LearnedByModel) -> None:
    sent = CALL | {
        "messages": [{"role": "user", "content": "is temperature not supported here?"}],
        "temperature": 1,
        "top_k": 4,
    }
    text = "Unknown parameter: 'top_k'. You wrote: is temperature not supported here?"
    attempts = book.attempts(sent)
    assert attempts.learn(400, text, None).again
    attempts.confirm()
    assert book.attempts(CALL | {"temperature": 1, "top_k": 4}).call.parameters == CALL | {"temperature": 1}


def test_images_and_short_texts_are_no_words(book: LearnedByModel) -> None:
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,unknown parameter top_k"}}]
    sent = CALL | {"messages": [{"role": "user", "content": content}, {"role": "user", "content": "top_k"}], "top_k": 4}
    refuse(book, sent, "Unknown parameter: 'top_k'.")
    assert "top_k" not in book.attempts(sent).call.parameters


# -- What a model lacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "lacks"),
    [
        (400, "This model does not support tools.", {"tools"}),
        (
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            {"tools"},
        ),
        (
            404,
            "No endpoints found that support tool use. To learn more about provider routing, see the documentation.",
            {"tools"},
        ),
        (400, "Unsupported parameter: 'tools' is not supported with this model.", {"tools"}),
        (400, "This model does not support image input", {"vision"}),
        (404, "No endpoints found that support image input", {"vision"}),
        (400, "Function tools with reasoning_effort are not supported for gpt-5.6", set()),
        (400, "This model does not support the tool_choice 'required'", set()),
        (400, "tool 'f' is not allowed to be called get", set()),
        (400, "Images are too large", set()),
        (401, "This model does not support tools.", set()),
    ],
)
def test_a_model_without_tools_or_vision_is_known_by_its_refusal(
    book: LearnedByModel, clock: Clock, status: int, text: str, lacks: set[str]
) -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    sent = CALL | {"messages": [{"role": "user", "content": content}], "tools": [{"type": "function"}]}
    attempts = book.attempts(sent)
    attempts.learn(status, text, None)
    assert book.lacks("m") == lacks
    assert book.lacks("n") == set()
    clock.now += LIFETIME
    assert book.lacks("m") == set()


@pytest.mark.parametrize(
    ("status", "text", "lacks"),
    [
        # llama.cpp's /infill, vLLM, a server that refuses the parameter
        (501, "Infill is not supported by this model: prefix token is missing. suffix token is missing. ", {"insert"}),
        (400, "suffix is not currently supported", {"insert"}),
        (422, "Unsupported fields in the request: {'suffix'}", {"insert"}),
        (400, "The suffix is too long", set()),
        (400, "This model does not support tools.", set()),
    ],
)
@pytest.mark.parametrize("sent", [{"input_prefix": "a", "input_suffix": "b"}, {"prompt": "a", "suffix": "b"}])
def test_a_model_that_does_not_fill_in_is_known_by_its_refusal(
    book: LearnedByModel, sent: dict[str, str], status: int, text: str, lacks: set[str]
) -> None:
    book.attempts({"model": "m", **sent}).learn(status, text, None)
    assert book.lacks("m") == lacks
    book.attempts({"model": "n", "prompt": "a"}).learn(status, text, None)
    assert book.lacks("n") == set()


def test_what_a_model_has_shown_is_known_for_a_while(book: LearnedByModel, clock: Clock) -> None:
    assert book.does("m") == set()
    book.of("m", "embedding").grant("embedding")
    assert book.does("m") == {"embedding"}
    assert book.does("n") == set()
    clock.now += LIFETIME
    assert book.does("m") == set()


def test_a_model_lacks_nothing_that_was_not_asked_for(book: LearnedByModel) -> None:
    book.attempts(CALL).learn(400, "This model does not support tools or images.", None)
    assert book.lacks("m") == set()


# -- Too long ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "prompt"),
    [
        ("prompt is too long: 207000 tokens > 200000 maximum", 200000, 207000),
        ("Prompt contains 9000 tokens and 0 draft tokens, too large for model with 8192 maximum context length", 8192, 9000),
        ("request (4000 tokens) exceeds the available context size (2048 tokens), try increasing it", 2048, 4000),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576, 1200000),
        ("This model's maximum prompt length is 131072 but the request contains 137197 tokens.", 131072, 137197),
        ("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", 129024, 0),
        ("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", 8192, 9000),
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.", 4096, 5000),
        ("Requested tokens (3000) exceed context window of 2048", 2048, 3000),
        ("Your input exceeds the context window of this model. Please adjust your input and try again.", 0, 0),
    ],
)
@pytest.mark.parametrize("limited", [{}, {"max_tokens": 100}])
def test_a_prompt_that_is_too_long_is_told_as_such(
    book: LearnedByModel, text: str, limit: int, prompt: int, limited: dict[str, int]
) -> None:
    lesson = book.attempts(CALL | limited).learn(400, text, None)
    assert not lesson.again
    assert lesson.too_long is not None
    assert lesson.too_long.limit == limit
    assert lesson.too_long.prompt_tokens in (prompt, prompt - sum(limited.values()))


def test_a_prompt_that_leaves_room_is_not_too_long(book: LearnedByModel) -> None:
    text = (
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (1000 in the messages, 8000 in "
        "the completion)."
    )
    lesson = book.attempts(CALL | {"max_tokens": 8000}).learn(400, text, None)
    assert lesson.again
    assert lesson.too_long is None


def test_an_error_of_another_kind_is_not_too_long(book: LearnedByModel) -> None:
    assert book.attempts(CALL).learn(401, "prompt is too long: 2 tokens > 1 maximum", None).too_long is None
    assert book.attempts(CALL).learn(400, "No such model", None).too_long is None


# -- Paths ------------------------------------------------------------------------------------------------------------------


def test_a_missing_path_is_tried_again_after_an_hour(clock: Clock) -> None:
    missing = Missing(clock)
    assert "/v1/responses" not in missing
    missing.add("/v1/responses")
    assert "/v1/responses" in missing
    assert "/v1/messages" not in missing
    assert 5 not in missing
    clock.now += LIFETIME
    assert "/v1/responses" not in missing


def test_changes_without_a_stream_are_shown() -> None:
    assert AskWithoutStream(frozenset({"tools"})).describe() == "the answer is asked for without a stream beside tools"
    assert AskWithoutStream().kind in KINDS


LONG = "This model's maximum context length is 60 tokens, however you requested 9000 tokens."


@pytest.mark.parametrize(
    ("prompt", "text", "quoted"),
    [
        ("hello " * 9000, LONG, False),
        (LONG, LONG, True),
        (LONG, f"Invalid value: '{LONG}'", True),
        ("x" * (1 << 20), LONG, True),
    ],
    ids=["the server's words", "the client's", "a quotation", "too long to compare"],
)
def test_the_size_of_a_context_says_whether_the_client_may_have_written_it(
    book: LearnedByModel, prompt: str, text: str, quoted: bool
) -> None:
    lesson = book.attempts(CALL | {"messages": [{"role": "user", "content": prompt}]}).learn(400, text, None)
    assert lesson.too_long is not None
    assert (lesson.too_long.limit, lesson.too_long.quoted) == (60, quoted)
