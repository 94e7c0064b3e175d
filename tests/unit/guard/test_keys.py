"""Which keys open the proxy, and where a client may put its own."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.guard.keys import Keys, brought_key, read_keys
from ollama_openai_proxy.net.http_messages import Request

if TYPE_CHECKING:
    from pathlib import Path

KEY, OTHER = "sk-first-1234", "sk-second-5678"
KEYS = Keys([KEY, OTHER])
OWNER, OTHER_OWNER = (sha256(key.encode()).hexdigest()[:8] for key in (KEY, OTHER))
HUGE = "k" * 5_000_000


def request(**headers: str) -> Request:
    return Request("POST", "/api/chat", {name.replace("_", "-"): value for name, value in headers.items()})


def basic(user_and_password: str) -> str:
    return base64.b64encode(user_and_password.encode()).decode()


# ── what opens

RIGHT = [
    {"authorization": f"Bearer {KEY}"},
    {"authorization": f"bearer {KEY}"},
    {"authorization": f"BEARER {KEY}"},
    {"authorization": f" \t Bearer  \t{KEY} \t"},
    {"authorization": f"Basic {basic(f'user:{KEY}')}"},
    {"authorization": f"bAsIc  {basic(f':{KEY}')} "},
    {"x_api_key": KEY},
    {"x_api_key": f"\t{KEY} "},
    {"api_key": KEY},
    # Some clients put a key of their own making into one place and the user's into another.
    {"authorization": "Bearer none-at-all", "x_api_key": KEY},
    {"authorization": "Bearer ", "api_key": KEY},
    {"x_api_key": "", "api_key": KEY},
]


@pytest.mark.parametrize("headers", RIGHT)
def test_a_right_key_opens_in_each_of_its_places(headers: dict[str, str]) -> None:
    assert KEYS.owner(request(**headers)) == OWNER


def test_each_key_has_an_owner_of_its_own_and_always_the_same() -> None:
    assert KEYS.owner(request(x_api_key=OTHER)) == OTHER_OWNER
    assert Keys([OTHER]).owner(request(authorization=f"Bearer {OTHER}")) == OTHER_OWNER
    assert OTHER_OWNER != OWNER


WRONG: list[dict[str, str]] = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": KEY},
    {"authorization": f"Bearer{KEY}"},
    {"authorization": f"Token {KEY}"},
    {"authorization": f"Bearer {KEY[:-1]}"},
    {"authorization": f"Bearer {KEY}x"},
    {"authorization": f"Bearer {KEY.upper()}"},
    {"authorization": f"Bearer Bearer {KEY}"},
    {"authorization": f'Bearer "{KEY}"'},
    {"authorization": f"Bearer {sha256(KEY.encode()).hexdigest()}"},
    # repeated
    {"authorization": f"Bearer {KEY}, Bearer {KEY}"},
    {"authorization": f"Bearer {KEY}, "},
    {"authorization": f", Bearer {KEY}"},
    {"authorization": f"Basic {basic(f'u:{KEY}')}, Basic {basic(f'u:{KEY}')}"},
    {"x_api_key": f"{KEY}, {KEY}"},
    {"x_api_key": f"{KEY},{OTHER}"},
    {"api_key": f"wrong-key, {KEY}"},
    # Basic
    {"authorization": f"Basic {basic(KEY)}"},
    {"authorization": f"Basic {basic(f'{KEY}:')}"},
    {"authorization": f"Basic {basic(f'user:x:{KEY}')}"},
    {"authorization": f"Basic {basic(f'user:{KEY}')[:-3]}"},
    {"authorization": f"Basic {basic(f'user:{KEY}')}!"},
    {"authorization": f"Basic {KEY}"},
    {"authorization": "Basic ===="},
    {"authorization": "Basic äöü"},
    {"authorization": "Basic " + base64.b64encode(b"u:\xff\xfe" + KEY.encode()).decode()},
    # not ASCII
    {"authorization": f"Bearer {KEY}\u00a0"},
    {"authorization": f"Bearer \ud800{KEY}"},
    {"x_api_key": "\u017fk-first-1234"},
    {"x_api_key": f"{KEY}\0"},
    {"x_api_key": f"{KEY}\r\n{KEY}"},
    # huge
    {"authorization": f"Bearer {HUGE}"},
    {"authorization": f"Bearer {' ' * 5_000_000}{KEY}"},
    {"authorization": f"Basic {HUGE}"},
    {"authorization": HUGE},
    {"x_api_key": HUGE},
    {"api_key": KEY + HUGE},
]


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
def test_all_else_does_not_open(headers: dict[str, str]) -> None:
    brought = request(**headers)
    assert KEYS.owner(brought) is None


places = st.sampled_from(["authorization", "x_api_key", "api_key"])
values = st.one_of(
    st.text(),
    st.text().map(lambda text: f"Bearer {text}"),
    st.text().map(lambda text: f"Basic {text}"),
    st.binary().map(lambda data: f"Basic {base64.b64encode(data).decode()}"),
    st.text(st.characters(codec=None)),
)


@given(st.dictionaries(places, values))
def test_nothing_that_a_client_can_send_is_an_error(headers: dict[str, str]) -> None:
    assert KEYS.owner(request(**headers)) is None
    key = brought_key(request(**headers))
    assert key is None or (key.isascii() and key.isprintable() and key.strip() == key != "")


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_only_a_key_itself_opens(known: str, brought: str) -> None:
    opens = Keys([known]).owner(request(x_api_key=brought)) is not None
    assert not opens or brought.strip(" \t") == known


# ── how they are compared


@pytest.mark.parametrize("brought", [KEY, OTHER, "sk-third-9999", "wrong", "x" * 9999])
@pytest.mark.parametrize("place", ["x_api_key", "api_key", "authorization"])
def test_every_key_is_compared_as_a_hash_whichever_was_brought(
    brought: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [KEY, OTHER, "sk-third-9999"]
    keys = Keys(known)
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def recording(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", recording)
    keys.owner(request(**{place: f"Bearer {brought}" if place == "authorization" else brought}))
    assert compared == [(sha256(brought.encode()).digest(), sha256(key.encode()).digest()) for key in known]


# ── what is kept


def test_no_key_is_kept_or_shown() -> None:
    kept = repr(vars(KEYS))
    assert repr(KEYS) == "<Keys: 2>"
    for key in (KEY, OTHER):
        assert key not in kept
        assert key.removeprefix("sk-") not in f"{KEYS!r} {KEYS!s}"


def test_without_keys_there_is_nothing_to_open() -> None:
    assert not Keys([])
    assert Keys([]).owner(request(x_api_key=KEY)) is None
    assert Keys(iter([KEY]))
    assert repr(Keys([KEY, KEY])) == "<Keys: 1>"


# ── the client's own key


@pytest.mark.parametrize("headers", RIGHT[:9])
def test_the_clients_own_key_is_found_in_the_same_places(headers: dict[str, str]) -> None:
    assert brought_key(request(**headers)) == KEY


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer a", "x_api_key": "b", "api_key": "c"}, "a"),
        ({"authorization": f"Basic {basic('u:a')}", "x_api_key": "b"}, "a"),
        ({"authorization": "Bearer ", "x_api_key": "b", "api_key": "c"}, "b"),
        ({"authorization": "Bearer", "api_key": "c"}, "c"),
        ({"authorization": "Negotiate abc", "api_key": "c"}, "c"),
        ({"authorization": f"Bearer {'t' * 8000}"}, "t" * 8000),
        ({"authorization": "Bearer a, Bearer a"}, None),
        ({"authorization": "Bearer a,"}, None),
        ({"authorization": "Bearer a b"}, None),
        ({"authorization": "Bearer a\r\nX-Other: b"}, None),
        ({"authorization": "Bearer ä"}, None),
        ({"authorization": f"Basic {basic('u:a b')}"}, None),
        ({"authorization": f"Bearer {HUGE}"}, None),
        ({}, None),
    ],
)
def test_of_several_the_most_usual_counts_and_what_is_no_key_does_not(headers: dict[str, str], key: str | None) -> None:
    assert brought_key(request(**headers)) == key


# ── settings


@pytest.mark.parametrize(
    ("listed", "content", "keys"),
    [
        (None, None, []),
        ("", None, []),
        (KEY, None, [KEY]),
        (f" {KEY} ,\t{OTHER},, ", None, [KEY, OTHER]),
        (f"{KEY},{KEY}", None, [KEY]),
        ("12345678", None, ["12345678"]),
        ("#not-a-comment", None, ["#not-a-comment"]),
        (None, KEY, [KEY]),
        (None, f"{KEY}\n{OTHER}\n", [KEY, OTHER]),
        (None, f"\ufeff# for the team\r\n\r\n  {KEY} \r\n\t{OTHER}  # Anna's\r\n", [KEY, OTHER]),
        (None, f"{KEY}, {OTHER}", [KEY, OTHER]),
        (None, f"{KEY},\n,{OTHER} # {KEY}x, and {KEY}y\n#{KEY}z", [KEY, OTHER]),
        (None, "with#inside", ["with#inside"]),
        (KEY, f"{OTHER}\n{KEY}", [KEY, OTHER]),
        ("k" * 8192, None, ["k" * 8192]),
    ],
)
def test_keys_are_read_from_a_list_and_a_file(listed: str | None, content: str | None, keys: list[str], tmp_path: Path) -> None:
    file = None if content is None else tmp_path / "keys"
    if file is not None:
        file.write_bytes((content or "").encode())
    assert read_keys(listed, file) == keys


UNFIT = "must have 8 to 8192 visible ASCII characters and no blanks."


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (",", "PROXY_API_KEYS holds no key: put one in, or leave it unset."),
        (" \t", "PROXY_API_KEYS holds no key: put one in, or leave it unset."),
        ("1234567", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        (f"{KEY},,s3cret", f"PROXY_API_KEYS is wrong: key 2 {UNFIT}"),
        ("s3cret s3cret", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        ("s3cret\ns3cret", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        ("s3cret\0s3cret", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        ("s3cret\x7fs3cret", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        ("s3cret-ä-s3cret", f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
        ("s3cret" * 2000, f"PROXY_API_KEYS is wrong: key 1 {UNFIT}"),
    ],
)
def test_a_wrong_list_is_told_without_its_keys(listed: str, why: str) -> None:
    with pytest.raises(ValueError, match="PROXY_API_KEYS ") as caught:
        read_keys(listed, None)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "PROXY_API_KEYS_FILE holds no key: put one in, or leave it unset."),
        (b"# none yet\n \n,", "PROXY_API_KEYS_FILE holds no key: put one in, or leave it unset."),
        (b"s3cret", f"PROXY_API_KEYS_FILE is wrong: key 1 {UNFIT}"),
        (b"s3cret-long-enough\ns3cret two", f"PROXY_API_KEYS_FILE is wrong: key 2 {UNFIT}"),
        (b"s3cret-\xff\xfe-s3cret", f"PROXY_API_KEYS_FILE is wrong: key 1 {UNFIT}"),
        ("s3cret-long-enough".encode("utf-16"), f"PROXY_API_KEYS_FILE is wrong: key 1 {UNFIT}"),
        (b"s3cret\x0bs3cret", f"PROXY_API_KEYS_FILE is wrong: key 1 {UNFIT}"),
        (b"\x89PNG\r\n\x1a\n\0\0", f"PROXY_API_KEYS_FILE is wrong: key 1 {UNFIT}"),
    ],
)
def test_a_wrong_file_is_told_without_its_keys(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="PROXY_API_KEYS_FILE ") as caught:
        read_keys(KEY, file)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("name", "reason"),
    [("s3cret", "No such file or directory"), (".", "Is a directory"), ("s3cret\0", "no path of a file")],
)
def test_a_file_that_cannot_be_read_is_told_without_its_path(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read") as caught:
        read_keys(None, tmp_path / name)
    assert str(caught.value) == (
        f"PROXY_API_KEYS_FILE cannot be read ({reason}): set it to the path of a file with a key on each line."
    )
    assert caught.value.__context__ is None


@given(st.none() | st.text(), st.none() | st.binary())
def test_settings_are_keys_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, listed: str | None, content: bytes | None
) -> None:
    file = None if content is None else tmp_path_factory.getbasetemp() / "any"
    if file is not None:
        file.write_bytes(content or b"")
    try:
        keys, told = read_keys(listed, file), None
    except ValueError as error:
        keys, told = [], f"{type(error).__name__}: {error}"
    assert told is None or told.startswith("ValueError: PROXY_API_KEYS")
    assert all(Keys(keys).owner(request(authorization=f"Bearer {key}")) for key in keys)
