"""Which addresses are public: the same with every Python version, whatever its own ``ipaddress`` says."""

import ipaddress

import pytest

from registry_client.public_addresses import is_public

PUBLIC = [
    "1.1.1.1",
    "140.82.121.4",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80e::200e",
    "64:ff9b::101:101",  # NAT64 of 1.1.1.1
    "64:ff9b::8c52:7904",
    # The addresses just beside special networks.
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.1.255",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::",
    "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:200::",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2001:ffff::1",
    "2003::",
    "3ffe:ffff::1",
    "3fff:1000::",
    "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2606:4700::1:5efe:101:101",
]

# IANA's special-purpose registries and the networks beside them, with the first and the last address of each.
SPECIAL = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "4000::/3",
    "5f00::/16",
    "6000::/3",
    "8000::/3",
    "a000::/3",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fc00::/7",
    "fe00::/9",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]

NOT_PUBLIC = [
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.192",
    "192.88.99.1",
    "255.255.255.255",
    "fd00:ec2::254",
    "ff02::1",
    # A zone is for addresses of one link.
    "fe80::1%eth0",
    "2606:4700:4700::1111%eth0",
    # Mapped and compatible addresses, whatever they contain.
    "::ffff:1.1.1.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::1.1.1.1",
    "::127.0.0.1",
    # 6to4 and Teredo, whatever they contain.
    "2002:0101:0101::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:0:7f00:1::1",
    # NAT64: the contained address decides where its place is known.
    "64:ff9b::",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a83f:8110",
    "64:ff9b::c058:6301",
    "64:ff9b::ffff:ffff",
    "64:ff9b:0:0:0:1:101:101",
    "64:ff9b:1::101:101",
    # ISATAP inside of a public prefix.
    "2606:4700:4700::5efe:a00:1",
    "2606:4700:4700::5efe:101:101",
    "2606:4700:4700:0:200:5efe:7f00:1",
    # No addresses.
    "localhost",
    "",
    "1.1.1",
    "01.1.1.1",
    "1.1.1.1/32",
    "[::1]",
    "1.1.1.1%",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("network", SPECIAL)
def test_special_networks(network):
    found = ipaddress.ip_network(network)
    for address in (found[0], found[found.num_addresses // 2], found[-1]):
        assert not is_public(str(address)), address


@pytest.mark.parametrize("network", [network for network in SPECIAL if "." in network])
def test_special_networks_behind_nat64(network):
    found = ipaddress.ip_network(network)
    for address in (found[0], found[-1]):
        assert not is_public(f"64:ff9b::{address}"), address
