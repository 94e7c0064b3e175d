"""The parts of a message keep their kind and their order."""

from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.openai_responses import Part
from ollama_openai_proxy.translate.openai_responses.content_parts import beside_text, text_of, user_content

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
CHAT_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def parts(*given: dict[str, Any]) -> list[Part]:
    return [Part.model_validate(part) for part in given]


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ([], ""),
        ([{"type": "input_text", "text": "a"}], "a"),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "a\nb"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        *[([{"type": f"{kind}_text", "text": "a"}], "a") for kind in ("output", "summary", "reasoning")],
        ([IMAGE], [CHAT_IMAGE]),
        (
            [{"type": "text", "text": "a"}, IMAGE, {"type": "input_text", "text": "b"}],
            [{"type": "text", "text": "a"}, CHAT_IMAGE, {"type": "text", "text": "b"}],
        ),
        (
            [{"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}],
            [{"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}],
        ),
        ([{**IMAGE, "detail": "auto"}], [CHAT_IMAGE]),
        ([{**IMAGE, "type": "computer_screenshot"}], [CHAT_IMAGE]),
        (
            [{"type": "input_file", "file_data": "data:x", "filename": "a.pdf"}],
            [{"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}}],
        ),
        ([{"type": "input_file", "file_data": "data:x"}], [{"type": "file", "file": {"file_data": "data:x"}}]),
        (
            [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}],
            [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}],
        ),
    ],
)
def test_a_users_parts_become_content(given: list[dict[str, Any]], content: Any) -> None:
    assert user_content(parts(*given), "x") == content


def test_text_and_the_rest_can_be_had_apart() -> None:
    mixed = parts({"type": "output_text", "text": "a"}, IMAGE, {"type": "refusal", "refusal": "b"})
    assert text_of(mixed, between="") == "ab"
    assert beside_text(mixed, "x") == [CHAT_IMAGE]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"type": "input_image", "file_id": "file-1"},
            '"here[1]" has no "image_url"; no files are stored here of which it could be one.',
        ),
        (
            {"type": "input_file", "file_url": "https://x"},
            '"here[1]" has no "file_data"; files are neither stored nor fetched here.',
        ),
        ({"type": "input_audio"}, '"here[1]" is of a type that is not known here.'),
        ({"type": "hologram"}, '"here[1]" is of a type that is not known here.'),
    ],
)
def test_a_part_that_cannot_be_had_is_refused(part: dict[str, Any], message: str) -> None:
    given = parts({"type": "input_text", "text": "a"}, part)
    for convert in (user_content, beside_text):
        with pytest.raises(InvalidRequest) as caught:
            convert(given, "here")
        assert caught.value.message == message
