"""The model's name is read from a body and another put in its place; everything else stays."""

import json

import pytest
from ollama_openai_proxy.api.openai.model_field import Body

JSON_TYPE = "application/json"
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILE = b"RIFF\x00\xff\r\n\r\n--not-the-boundary\r\n\x80"


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (*headers, f"Content-Disposition: form-data; {disposition}"))
    return f"--{BOUNDARY}\r\n{lines}\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


MODEL = part('name="model"', b"whisper")
AUDIO = part('name="file"; filename="model.wav"', FILE, "Content-Type: audio/wav")


# ── JSON


@pytest.mark.parametrize(
    ("content", "model"),
    [
        (b'{"model":"m"}', "m"),
        (b' {"a":[1],"model":"gr\xc3\xbcn"}', "grün"),
        (b'{"model":"a","model":"b"}', "b"),
        (b'{"model":""}', ""),
        *((b'{"model":5}', None), (b'{"model":null}', None), (b'{"input":"model"}', None), (b"{}", None)),
        *((b'["model"]', None), (b'"model"', None), (b"null", None), (b'{"model":"m"', None), (b"\xff", None), (b"", None)),
    ],
)
@pytest.mark.parametrize("content_type", [JSON_TYPE, "", "text/plain"])
def test_the_model_is_found_in_json_whatever_the_type_says(content: bytes, model: str | None, content_type: str) -> None:
    assert Body(content, content_type).model == model


def test_halves_of_characters_can_be_read() -> None:
    body = Body(b'{"model":"m","a":"\\ud83d"}', JSON_TYPE)
    assert (body.model, body.data) == ("m", {"model": "m", "a": "\ud83d"})
    assert b"\\ud83d" in body.naming("n")


def test_an_object_can_be_looked_into_and_nothing_else() -> None:
    assert Body(b'{"messages":[]}', JSON_TYPE).data == {"messages": []}
    for content in (b"[1]", b"{", b""):
        assert Body(content, JSON_TYPE).data is None
    assert Body(form(MODEL), FORM_TYPE).data is None


@pytest.mark.parametrize("content", [b' {"model" : "m", "x": 1.0}\n', form(MODEL, AUDIO)])
def test_where_nothing_changes_the_very_bytes_stay(content: bytes) -> None:
    body = Body(content, FORM_TYPE if content.startswith(b"--") else JSON_TYPE)
    assert body.model is not None
    assert body.naming(body.model) is content


def test_another_model_takes_the_place_of_the_first_and_the_rest_keeps_its_order() -> None:
    body = Body('{"a":1,"model":"alias","text":"Grüße","big":12345678901234567890,"none":null}'.encode(), JSON_TYPE)
    changed = body.naming("target")
    assert json.loads(changed) == {"a": 1, "model": "target", "text": "Grüße", "big": 12345678901234567890, "none": None}
    assert list(json.loads(changed)) == ["a", "model", "text", "big", "none"]


def test_further_fields_change_together_with_the_name_or_without_it() -> None:
    body = Body(b'{"model":"m","messages":[]}', JSON_TYPE)
    assert json.loads(body.naming("m", messages=[1], seed=7)) == {"model": "m", "messages": [1], "seed": 7}
    assert json.loads(body.naming("n", seed=7)) == {"model": "n", "messages": [], "seed": 7}


# ── forms


@pytest.mark.parametrize(
    "field",
    [
        MODEL,
        part("name=model", b"whisper"),
        part('name="model"; x=y', b"whisper"),
        part('name="model"', b"whisper", "Content-Type: text/plain"),
        MODEL.replace(b"Content-Disposition", b"content-disposition"),
        MODEL.replace(b'"model"', b'"model"\r\nContent-Type: text/plain; charset=utf-8'),
    ],
)
def test_the_model_of_a_form_is_replaced_and_not_one_other_byte(field: bytes) -> None:
    prompt = part('name="prompt"', b"the model is whisper")
    body = Body(form(prompt, field, AUDIO), FORM_TYPE)
    assert body.model == "whisper"
    assert body.naming("Systran/large") == form(prompt, field.replace(b"whisper", b"Systran/large"), AUDIO)
    assert Body(form(AUDIO, field), FORM_TYPE).naming("x") == form(AUDIO, field.replace(b"whisper", b"x"))


@pytest.mark.parametrize(
    "other",
    [
        part('name="model_size"', b"no"),
        part("name=models", b"no"),
        part('name="the-model"', b"no"),
        part('name="file"; filename="model"', b"no"),
        part('filename="model"; name="file"', b"no"),
        part('name="prompt"', b'Content-Disposition: form-data; name="model"\r\n\r\nno'),
    ],
)
def test_a_field_that_only_looks_like_it_is_another(other: bytes) -> None:
    assert Body(form(other), FORM_TYPE).model is None
    assert Body(form(other, MODEL), FORM_TYPE).naming("x") == form(other, MODEL.replace(b"whisper", b"x"))


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (form(AUDIO), FORM_TYPE),
        (form(MODEL), "multipart/form-data"),
        (form(MODEL), "multipart/form-data; boundary=another"),
        (form(MODEL), f"multipart/form-data; boundary*=utf-8''{BOUNDARY}"),
        (MODEL, FORM_TYPE),
        (b"", FORM_TYPE),
    ],
)
def test_a_form_without_a_model_has_none(content: bytes, content_type: str) -> None:
    assert Body(content, content_type).model is None


@pytest.mark.parametrize("content_type", [f'Multipart/Form-Data; charset=utf-8; Boundary="{BOUNDARY}"', FORM_TYPE + " "])
def test_the_type_of_a_form_is_read_as_the_rfc_says(content_type: str) -> None:
    assert Body(form(MODEL), content_type).model == "whisper"


def test_a_name_that_is_no_text_is_still_a_name() -> None:
    assert Body(form(MODEL.replace(b"whisper", b"gr\xc3\xbcn")), FORM_TYPE).model == "grün"
    assert Body(form(MODEL.replace(b"whisper", b"\xff")), FORM_TYPE).model == "\ufffd"


@pytest.mark.parametrize(
    "field",
    [
        part('name="model"', b"two\r\nlines"),
        part('name="model"', b"two\nlines"),
        part('name="model"', b""),
        b"--" + BOUNDARY.encode() + b"\r\nContent-Type: text/plain\r\n\r\nwhisper\r\n",
        b"--" + BOUNDARY.encode() + b"\r\n" + b"X: y\r\n" * 5000 + b'Content-Disposition: form-data; name="model"\r\n\r\nm\r\n',
    ],
    ids=["lines", "a line feed", "empty", "no disposition", "many headers"],
)
def test_a_field_that_is_no_name_is_passed_over(field: bytes) -> None:
    expected = "" if field == part('name="model"', b"") else None
    assert Body(form(field), FORM_TYPE).model == expected
    if expected is None:
        assert Body(form(field, MODEL), FORM_TYPE).model == "whisper"


def test_a_form_of_many_parts_is_read_once() -> None:
    assert Body(form(*[AUDIO] * 3000), FORM_TYPE).model is None
    assert Body(b"--" + BOUNDARY.encode() + b"\r\na:" * 20000, FORM_TYPE).model is None
