"""Decide whether an IP address is public (SSRF guard).

Independent of the Python version: ``ipaddress.is_global`` uses IANA's registries as of that Python's release, and a
security fix changed it within 3.11 and 3.12 (CVE-2024-4032). The networks are listed here instead, from the IANA IPv4
and IPv6 Special-Purpose Address Registries (RFC 6890), as of 2025. All entries of these registries are refused, also
the few that IANA marks as globally reachable: those are anycast services of the network itself, without image
registries.
"""

from __future__ import annotations

import ipaddress

_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space of providers (RFC 6598); Alibaba Cloud's metadata service
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # Azure's internal services; not in IANA's registries
        "169.254.0.0/16",  # link-local (RFC 3927); the metadata services of most clouds
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890); Oracle Cloud's metadata service
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT relays (RFC 7450)
        "192.88.99.0/24",  # 6to4 and 6a44 relays (RFC 7526, RFC 6751)
        "192.168.0.0/16",  # private use (RFC 1918)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and the broadcast address (RFC 1112, RFC 8190)
    )
)

# The only part of IPv6 that global unicast addresses are assigned from (RFC 4291, section 2.4; IANA, "IPv6 Address
# Space"). Outside of it are, among others: ::/96 and ::ffff:0:0/96 (IPv4-compatible and IPv4-mapped), 64:ff9b:1::/48
# (local NAT64, RFC 8215), 100::/64 (discard), 5f00::/16 (SRv6 SIDs), fc00::/7, fe80::/10, fec0::/10 and ff00::/8.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments (RFC 2928), with Teredo (2001::/32), ORCHID, benchmarks and AMT
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056, deprecated by RFC 7526)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
        "3fff::/20",  # documentation (RFC 9637)
    )
)

# The well-known prefix of NAT64 (RFC 6052, section 2.1): the last 32 bits are the IPv4 address that the packet ends at.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# The interface identifiers of ISATAP (RFC 5214, section 6.1), whose last 32 bits are an IPv4 address inside a site:
# 0000:5efe and, with the "universal" bit set, 0200:5efe.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def is_public(text: str) -> bool:
    """Whether an IP address is public.

    IPv6 addresses of tunnels and translators that contain an IPv4 address (6to4, Teredo, ISATAP, IPv4-mapped and
    IPv4-compatible, local NAT64) are never public. NAT64's well-known prefix is the one exception, because machines
    with IPv6 alone reach every IPv4 host through it: there the contained IPv4 address decides.

    :param text: an address that ``ipaddress`` can parse; anything else, also an address with a zone (``%eth0``), is not
        public.
    """
    if "%" in text:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_ipv4(address)
    number = int(address)
    if address in _NAT64:
        return _is_public_ipv4(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return (
        address in _GLOBAL_UNICAST
        and not any(address in network for network in _SPECIAL_IPV6)
        and (number >> 32) & 0xFFFFFFFF not in _ISATAP
    )


def _is_public_ipv4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in network for network in _SPECIAL_IPV4)
