"""Whom a request comes from, told by its connection and by those who may say more."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.guard.addresses import Addresses

TRUSTED = Addresses("10.0.0.0/8, 192.0.2.7,2001:db8::/32 ,,::1")
PROXY = "10.0.0.1"

# ── whom nobody vouches for


@pytest.mark.parametrize("forwarded_for", ["", "203.0.113.9", "203.0.113.9, 10.0.0.2", "nonsense"])
@pytest.mark.parametrize("peer", ["198.51.100.4", "11.0.0.1", "192.0.2.8", "2001:db9::1"])
@pytest.mark.parametrize("addresses", [TRUSTED, Addresses(""), Addresses(" , ")])
def test_without_trust_it_is_whoever_is_connected(addresses: Addresses, peer: str, forwarded_for: str) -> None:
    assert addresses.client(peer, forwarded_for) == peer


@pytest.mark.parametrize("peer", ["", "/run/proxy.sock", "localhost", "10.0.0", "10.0.0.1:80"])
def test_who_has_no_address_is_not_trusted(peer: str) -> None:
    assert TRUSTED.client(peer, "203.0.113.9") == peer


# ── whom a trusted proxy vouches for


@pytest.mark.parametrize("peer", [PROXY, "10.255.255.255", "192.0.2.7", "2001:db8:1::2", "::1", "::ffff:10.0.0.1", "::1%lo"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    assert TRUSTED.client(peer, "203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        # One of many: what stands further left is only what somebody untrusted says.
        ("203.0.113.9, 198.51.100.4", "198.51.100.4"),
        ("203.0.113.9, 198.51.100.4, 10.0.0.3, 192.0.2.7", "198.51.100.4"),
        ("nonsense, 198.51.100.4,10.0.0.3", "198.51.100.4"),
        ("10.0.0.9, 198.51.100.4", "198.51.100.4"),
        # Nobody but trusted ones: the first of them.
        ("10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.2"),
        # Spellings.
        ("198.51.100.4:51234", "198.51.100.4"),
        ("[2001:db9::5]:443", "2001:db9::5"),
        ("[2001:db9::5]", "2001:db9::5"),
        ("2001:db9::5", "2001:db9::5"),
        ("2001:DB9:0:0::0005", "2001:db9::5"),
        ("::ffff:198.51.100.4", "198.51.100.4"),
        ("[::FFFF:c633:6404]:80", "198.51.100.4"),
        ('"198.51.100.4"', "198.51.100.4"),
        ('"[2001:db9::5]:443"', "2001:db9::5"),
        (" \t198.51.100.4\t ", "198.51.100.4"),
        ("198.51.100.4 , ::ffff:10.0.0.2 , [2001:db8::9]:1, \"10.0.0.4:80\"", "198.51.100.4"),
        # What is none ends the search at the last good one.
        ("", PROXY),
        (" ", PROXY),
        ("unknown", PROXY),
        ("198.51.100.4,", PROXY),
        ("198.51.100.4, , 10.0.0.2", "10.0.0.2"),
        ("198.51.100.4, unknown, 10.0.0.2", "10.0.0.2"),
        ("_hidden", PROXY),
        ("198.51.100", PROXY),
        ("198.51.100.256", PROXY),
        ("198.51.100.04", PROXY),
        ("198.51.100.4:", PROXY),
        ("198.51.100.4:http", PROXY),
        ("198.51.100.4:123456", PROXY),
        ("198.51.100.4 198.51.100.5", PROXY),
        ("198.51.100.0/24", PROXY),
        ("[2001:db9::5", PROXY),
        ("2001:db9::5]", PROXY),
        ("[2001:db9::5]x", PROXY),
        ("[]", PROXY),
        (":::", PROXY),
        ("fe80::1%eth0", PROXY),
        ("[fe80::1%eth0]:80", PROXY),
        ('"198.51.100.4', PROXY),
        ("'198.51.100.4'", PROXY),
        ("for=198.51.100.4", PROXY),
        ("١٩٨.51.100.4", PROXY),
        ("198.51.100.4\n", "198.51.100.4"),
        ("198.51.100.4\nx", PROXY),
    ],
)  # fmt: skip
def test_the_last_address_that_is_not_trusted_is_the_client(forwarded_for: str, client: str) -> None:
    assert TRUSTED.client(PROXY, forwarded_for) == client


def test_a_chain_is_not_followed_for_ever() -> None:
    assert TRUSTED.client(PROXY, "198.51.100.4" + ",10.0.0.2" * 31) == "198.51.100.4"
    assert TRUSTED.client(PROXY, "198.51.100.4" + ",10.0.0.2" * 32) == "198.51.100.4"
    assert TRUSTED.client(PROXY, "198.51.100.4" + ",10.0.0.2" * 33) == "10.0.0.2"
    assert TRUSTED.client(PROXY, "10.0.0.2," * 1_000_000 + "10.0.0.3") == "10.0.0.2"
    assert TRUSTED.client(PROXY, "1" * 10_000_000) == PROXY


@pytest.mark.parametrize(
    ("peer", "shown"), [("::ffff:198.51.100.4", "198.51.100.4"), ("FE80::0001%eth0", "fe80::1"), ("fe80::1%a\r\nb", "fe80::1")]
)
def test_an_address_has_one_spelling_only(peer: str, shown: str) -> None:
    assert TRUSTED.client(peer, "") == shown


addresses = st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"))


@given(st.text() | addresses, st.text(st.characters(codec=None)) | st.lists(st.text() | addresses).map(", ".join))
def test_nothing_that_a_client_can_send_is_an_error(peer: str, forwarded_for: str) -> None:
    assert TRUSTED.client(peer, forwarded_for) == peer or TRUSTED.client(peer, forwarded_for).isprintable()


@given(st.ip_addresses())
def test_every_address_is_understood_in_every_spelling(address: IPv4Address | IPv6Address) -> None:
    everyone = Addresses("0.0.0.0/0, ::/0")
    shown = everyone.client(str(address), "")
    in_brackets = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    for spelling in (str(address), address.exploded, in_brackets, f"{in_brackets}:80", f'"{in_brackets}:80"'):
        assert everyone.client(PROXY, spelling) == shown


# ── TRUSTED_PROXIES


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("10.1.2.3/8", "10.9.9.9"),
        ("10.1.2.3/255.0.0.0", "10.9.9.9"),
        ("0.0.0.0/0", "203.0.113.1"),
        ("::/0", "2001:db9::1"),
        ("fe80::/10", "fe80::1%eth0"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.9.9.9"),
        ("192.0.2.1,10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_and_networks_can_be_trusted(trusted: str, peer: str) -> None:
    assert Addresses(trusted).client(peer, "198.51.100.4") == "198.51.100.4"


@pytest.mark.parametrize(("trusted", "peer"), [("0.0.0.0/0", "::1"), ("::/0", "10.0.0.1"), ("::ffff:0:0/90", "10.0.0.1")])
def test_trust_in_one_kind_of_address_is_none_in_the_other(trusted: str, peer: str) -> None:
    assert Addresses(trusted).client(peer, "198.51.100.4") == peer


@pytest.mark.parametrize("wrong", ["x", "10.0.0.0/33", "10.0.0.256", "proxy.example", "10.0.0.1:80", "*", "10.0.0.1 10.0.0.2"])
def test_what_is_neither_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="TRUSTED_PROXIES") as caught:
        Addresses(f"10.0.0.1, {wrong}")
    assert str(caught.value) == (
        f"TRUSTED_PROXIES is wrong: {wrong!r} is neither an address, like 192.0.2.1, nor a network, like 10.0.0.0/8."
    )


@given(st.text(st.characters(codec=None)) | st.lists(st.text("0123456789abcdef.:/%, ")).map(",".join))
def test_a_wrong_setting_is_a_sentence(trusted: str) -> None:
    told = None
    try:
        Addresses(trusted)
    except ValueError as error:
        told = f"{type(error).__name__}: {error}"
    assert told is None or told.startswith("ValueError: TRUSTED_PROXIES is wrong: ")
