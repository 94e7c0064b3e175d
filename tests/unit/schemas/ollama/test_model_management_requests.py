"""The fields of the requests that fetch, make and remove models, in the spellings of old and new clients."""

from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.go_json_decoding import WireModel, decode
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.schemas.ollama.model_management_requests import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    PullRequest,
    PushRequest,
)

NAMED: list[type[PullRequest | PushRequest | DeleteRequest | CreateRequest]]
NAMED = [PullRequest, PushRequest, DeleteRequest, CreateRequest]


def create(**fields: Any) -> CreateRequest:
    return decode(CreateRequest, encode_json(fields))


def refusal(kind: type[WireModel], **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode(kind, encode_json(fields))
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"model": "m"}, "m"),
        ({"name": "m"}, "m"),
        ({"model": "", "name": "m"}, "m"),
        ({"model": "m", "name": ""}, "m"),
        ({"model": "m", "name": "other"}, "m"),
        ({"model": None, "name": "m"}, "m"),
        ({"MODEL": "m"}, "m"),
        ({"model": " M:8B "}, " M:8B "),
        ({}, ""),
    ],
)
def test_the_model_is_named_by_model_or_else_by_name(
    kind: type[PullRequest | PushRequest | DeleteRequest | CreateRequest], fields: dict[str, Any], about: str
) -> None:
    assert decode(kind, encode_json(fields)).about == about


@pytest.mark.parametrize("kind", [PullRequest, PushRequest, CreateRequest])
@pytest.mark.parametrize(
    ("fields", "stream"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_progress_is_streamed_unless_the_client_declines(
    kind: type[PullRequest | PushRequest | CreateRequest], fields: dict[str, Any], stream: bool
) -> None:
    assert decode(kind, encode_json(fields)).stream is stream


def test_what_concerns_the_transfer_itself_is_not_needed() -> None:
    body = {"model": "", "username": "", "password": "", "name": "x", "insecure": True}
    assert decode(PullRequest, encode_json(body)).about == "x"


def test_a_copy_has_a_source_and_a_destination() -> None:
    request = decode(CopyRequest, b'{"source": "a", "destination": "b"}')
    assert (request.source, request.destination) == ("a", "b")
    assert decode(CopyRequest, b'{"model": 1}') == CopyRequest()


def test_a_model_is_made_of_nothing_unless_the_request_says_more() -> None:
    request = create()
    assert (request.from_, request.files, request.system, request.template) == ("", {}, "", "")
    assert (request.license, request.parameters, request.messages) == (None, {}, [])


def test_a_model_is_made_from_another_with_settings_of_its_own() -> None:
    request = create(
        **{"from": "base"},
        model="m",
        system="Be brief.",
        template="{{ .Prompt }}",
        license=["MIT"],
        parameters={"temperature": 0, "stop": ["a"], "seed": None},
        messages=[{"role": "User", "content": "hi"}, None],
        adapters={"a": "sha256:0"},
        quantize="q4_0",
    )
    assert (request.from_, request.system, request.template, request.license) == ("base", "Be brief.", "{{ .Prompt }}", ["MIT"])
    assert request.parameters == {"temperature": 0, "stop": ["a"], "seed": None}
    assert [(message.role, message.content) for message in request.messages] == [("user", "hi"), ("", "")]


def test_a_file_without_a_digest_has_an_empty_one() -> None:
    assert create(files={"a.gguf": "sha256:0", "b.gguf": None}).files == {"a.gguf": "sha256:0", "b.gguf": ""}
    assert create(files=None).files == {}


@pytest.mark.parametrize(
    ("kind", "fields", "got", "wanted"),
    [
        (PullRequest, {"model": 1}, "number", "PullRequest.model of type string"),
        (PushRequest, {"name": []}, "array", "PushRequest.name of type string"),
        (DeleteRequest, {"model": {}}, "object", "DeleteRequest.model of type string"),
        (PullRequest, {"stream": "no"}, "string", "PullRequest.stream of type bool"),
        (CopyRequest, {"source": True}, "bool", "CopyRequest.source of type string"),
        (CreateRequest, {"from": 1}, "number", "CreateRequest.from of type string"),
        (CreateRequest, {"files": "f"}, "string", "CreateRequest.files of type map[string]string"),
        (CreateRequest, {"files": {"f": 1}}, "number", "CreateRequest.files of type string"),
        (CreateRequest, {"parameters": []}, "array", "CreateRequest.parameters of type map[string]interface {}"),
        (CreateRequest, {"messages": {}}, "object", "CreateRequest.messages of type []api.Message"),
        (CreateRequest, {"messages": [1]}, "number", "CreateRequest.messages of type api.Alias"),
        (CreateRequest, {"messages": [{"content": []}]}, "array", "CreateRequest.messages.content of type string"),
    ],
)
def test_a_wrong_type_is_refused_in_gos_words(kind: type[WireModel], fields: dict[str, Any], got: str, wanted: str) -> None:
    assert refusal(kind, **fields) == f"json: cannot unmarshal {got} into Go struct field {wanted}"


@pytest.mark.parametrize("kind", [*NAMED, CopyRequest])
def test_a_body_that_is_no_object_is_refused(kind: type[WireModel]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(kind, b"[]")
    assert caught.value.message == f"json: cannot unmarshal array into Go value of type api.{kind.go_type}"
