"""Which addresses may be connected to.

In: an IP address, and networks the operator has allowed. Out: whether a connection may be made. Everything
that is not plainly public is refused: private networks, this machine, link-local and metadata addresses, and
IPv4 in the clothes of IPv6.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

REFUSED = tuple(
    map(
        ip_network,
        (
            "100.64.0.0/10",  # not private, and not public: carriers, and the metadata of a large cloud
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "64:ff9b::/96",  # leads to IPv4
            "64:ff9b:1::/48",
            "2002::/16",
            "2001::/32",
        ),
    )
)
"""What Python calls global, or does not call private, and is neither."""


def may_connect(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection to that address may be made."""
    found: Address = ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        found = mapped
    if any(found.version == network.version and found in network for network in allowed):
        return True
    refused = any(found.version == network.version and found in network for network in REFUSED)
    return found.is_global and not found.is_multicast and not refused


def networks(stated: Sequence[str]) -> list[Network]:
    """Networks as operators write them; ValueError for what is none."""
    return [ip_network(one, strict=False) for one in stated]


def url_fault(url: str, allowed: Sequence[Network]) -> str:
    """Why this URL cannot be called, or "". What a name leads to is looked at when connecting."""
    if not url.isascii():
        return "the URL has signs that are not ASCII; write a host of other scripts as xn--…"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is not a URL"
    if parts.scheme not in ("https", "http"):
        return "the URL must begin with https://"
    if parts.username is not None or parts.password is not None:
        return "no name and password may stand in the URL"
    if not parts.hostname:
        return "the URL names no host"
    if parts.scheme == "http" and not allowed:
        return "http:// is for targets inside only; write https://, or name the inside network in allow"
    if port not in (None, 80, 443) and not allowed:
        return "only ports 80 and 443 may be called; name the inside network in allow for others"
    try:
        literal = may_connect(parts.hostname, allowed)
    except ValueError:
        return ""
    return "" if literal else "this address is not a public one; name its network in allow if it is meant"
