"""Whom a request comes from."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

type Address = IPv4Address | IPv6Address

_MOST_HOPS = 32
"""How far back a chain is followed, since whoever calls can make it as long as a header may be."""
_ENTRY = re.compile(
    r"""("?)                                     # some proxies quote it
    (?: \[ ([0-9A-F:.]+) \] (?: : [0-9]{1,5} )?  # IPv6, which needs brackets before a port
      | ([0-9.]+)           (?: : [0-9]{1,5} )?
      | ([0-9A-F:.]+)
    )\1""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_MAPPED_BITS = 96
"""IPv4 addresses as the last bits of an IPv6 address, ::ffff:192.0.2.1: what a socket for both kinds shows."""


class Addresses:
    """Whom a request comes from, behind proxies that are trusted to say so.

    Args:
        trusted: TRUSTED_PROXIES: their addresses and networks, separated by commas.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, trusted: str) -> None:
        self._trusted = [_network(entry.strip()) for entry in trusted.split(",") if entry.strip()]

    def client(self, peer: str, forwarded_for: str) -> str:
        """The address of whoever called first, as far as trusted proxies vouch for it.

        Args:
            peer: the address at the other end of the connection.
            forwarded_for: the value of X-Forwarded-For, to which each proxy adds whom it was called by.
        """
        last = _address_of(peer)
        if last is None:
            return peer
        # What is left of the last split holds commas and ends the search.
        for entry in reversed(forwarded_for.rsplit(",", _MOST_HOPS)):
            if not self._trusts(last):
                break
            address = _address(entry.strip())
            if address is None:
                break
            last = address
        return str(last)

    def trusts(self, peer: str) -> bool:
        """Whether the address at the other end of a connection is a trusted proxy's."""
        address = _address_of(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"TRUSTED_PROXIES is wrong: {text!r} is neither an address, like 192.0.2.1, nor a network, like 10.0.0.0/8."
        ) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network.network_address, IPv6Address) else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _address(entry: str) -> Address | None:
    found = _ENTRY.fullmatch(entry)
    try:
        return _plain(ip_address(found[2] or found[3] or found[4])) if found else None
    except ValueError:
        return None


@lru_cache(maxsize=1024)
@lru_cache(maxsize=1024)
def _address_of(peer: str) -> Address | None:
    try:
        return _plain(ip_address(peer))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    # Without its zone, which can be any text.
    return address.ipv4_mapped or IPv6Address(int(address))
