"""Parse and validate environment variables; all errors are collected and reported together."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

_SWITCH = {"on": True, "1": True, "true": True, "yes": True, "off": False, "0": False, "false": False, "no": False}
# URL schemes that dj-database-url maps to PostgreSQL.
_DATABASES = {"postgres", "postgresql", "pgsql", "postgis", "timescale", "timescalegis"}
# Characters: it is part of the key of each identity.
_LONGEST_ISSUER = 200
_LONGEST_NUMBER = 9
# User name and password in a URL.
_CREDENTIALS = re.compile(r"//[^/@\s]*@")

T = TypeVar("T")


class EnvironmentProblem(Exception):
    """Environment variables have invalid values. The message is for the operator: one sentence per line for each."""


class Variables:
    """Reads variables; an invalid one is added to ``problems``, and its default is returned."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def check(self) -> None:
        """Report invalid variables.

        :raises EnvironmentProblem: with all problems, if there are any.
        """
        if self.problems:
            raise EnvironmentProblem("\n".join(self.problems))

    def text(self, name: str, default: str = "") -> str:
        """Any text, without spaces around it."""
        return self._environ.get(name, "").strip() or default

    def password(self, name: str) -> str:
        """A secret, including spaces around it."""
        return self._environ.get(name, "")

    def secret(self, name: str) -> str:
        """A secret, or the content of the file in the variable ``name_FILE``, without spaces around it."""
        given, file = self.text(name), self.text(f"{name}_FILE")
        if not file:
            return given
        if given:
            self.problems.append(f"{name} and {name}_FILE are both set; keep one.")
            return given
        try:
            found = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError):
            self.problems.append(f"{name}_FILE is {file!r}, which cannot be read.")
            return ""
        if not found:
            self.problems.append(f"{name}_FILE is {file!r}, which is empty.")
        return found

    def port(self, name: str, default: int, *, none: bool = False) -> int:
        """The number of a TCP port.

        :param none: whether it may be 0, for no port.
        """
        least = 0 if none else 1
        return self._number(name, default, lambda port: least <= port <= 65535, f"a port number from {least} to 65535")

    def count(self, name: str, default: int) -> int:
        """A whole number, zero or more."""
        return self._number(name, default, lambda count: 0 <= count < 10**6, "a whole number, zero or more")

    def positive(self, name: str, default: int) -> int:
        """A whole number above zero."""
        return self._number(name, default, lambda count: count > 0, "a whole number above zero")

    def token_seconds(self, name: str, default: int) -> int:
        """Lifetime of a token in seconds; tests use negative numbers for a very short one.

        The registry accepts a token for a minute after it has expired: -57 gives a lifetime of three seconds.
        """
        return self._number(name, default, bool, "a whole number above zero")

    def seconds(self, name: str, default: float, *, zero: bool = False) -> float:
        """A finite number of seconds above zero.

        :param zero: whether it may be zero.
        """

        def parse(raw: str) -> float:
            value = float(raw)
            if not 0 <= value < float("inf") or (value == 0 and not zero):
                raise ValueError
            return value

        return self._read(name, default, parse, f"a number of seconds, {'zero or more' if zero else 'above zero'}")

    def switch(self, name: str, default: bool) -> bool:
        """A boolean: on or off, in several spellings."""
        return self._read(name, default, lambda raw: _SWITCH[raw.lower()], "on or off")

    def level(self, name: str, default: str) -> str:
        """The name of a log level, in capitals."""

        def parse(raw: str) -> str:
            logging.getLevelNamesMapping()[raw.upper()]
            return raw.upper()

        return self._read(name, default, parse, "DEBUG, INFO, WARNING, ERROR or CRITICAL")

    def url(self, name: str, default: str) -> str:
        """The URL of a service, without a trailing slash."""
        return self._read(name, default, _url, "an address like http://127.0.0.1:5000").rstrip("/")

    def origin(self, name: str) -> str:
        """The https address of a host, with a port if it is another than 443, and nothing after it."""
        return self._read(name, "", _origin, "an address like https://images.example.com")

    def file(self, name: str) -> Path | None:
        """The path of a file that can be read. A symbolic link stays one: a renewal may change where it leads."""

        def parse(raw: str) -> Path | None:
            path = Path(raw).expanduser().absolute()
            if not path.is_file() or not os.access(path, os.R_OK):
                raise ValueError
            return path

        return self._read(name, None, parse, "a file that can be read")

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of several words."""
        return self._read(
            name, default, lambda raw: choices[choices.index(raw.lower())], f"one of {', '.join(choices)}"
        )

    def database(self, name: str, default: str) -> str:
        """The URL of a PostgreSQL database; an invalid one is not logged, because it may contain a password."""
        raw = self.text(name, default)
        try:
            parts = urlsplit(raw)
            good = parts.scheme in _DATABASES and parts.port != 0
        except ValueError:
            good = False
        if not good:
            self.problems.append(f"{name} must be an address like postgresql://user:password@127.0.0.1:5432/images.")
        return raw

    def issuer(self, name: str) -> str:
        """An identity provider's URL; plain http only on this machine (OpenID Connect Discovery 1.0, 3)."""
        return self._read(name, "", _issuer, "an address like https://login.example.com")

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """Texts separated by commas."""
        return tuple(part.strip() for part in self.text(name, default).split(",") if part.strip())

    def options(self, name: str) -> tuple[str, ...]:
        """Settings of another program, ``name=value``, separated by spaces; parts without ``=`` are ignored."""
        return tuple(part for part in self.text(name).split() if "=" in part)

    def networks(self, name: str, default: str) -> tuple[str, ...]:
        """IP addresses or networks, separated by commas."""
        try:
            return tuple(str(ipaddress.ip_network(one)) for one in self.words(name, default))
        except ValueError as problem:
            self.problems.append(f"{name}: {problem}; it must be addresses or networks like 10.0.0.0/8.")
            return ()

    def pairs(self, name: str) -> frozenset[tuple[str, str]]:
        """Pairs of host names, as ``registry.example.com=login.example.com``, separated by commas."""
        pairs = set()
        for entry in map(str.lower, self.words(name)):
            left, _, right = (part.strip().rstrip(".") for part in entry.partition("="))
            if left and right and not re.search(r"[/:=\s]", left + right):
                pairs.add((left, right))
            else:
                self._unusable(name, "has", entry, "host names like registry.example.com=login.example.com")
        return frozenset(pairs)

    def prefixes(self, name: str) -> tuple[str, ...]:
        """Regular expressions for URL prefixes, in the syntax that Go and Python share.

        :return: one for any http or https URL when the variable is empty, and none for ``none``.
        """
        given = [part for part in re.split(r"[\s,]+", self.text(name)) if part]
        if given == ["none"]:
            return ()
        for prefix in given:
            # The slash is required: "https://example.com" is also a prefix of "https://example.com.evil.example".
            if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/[!-~]*", prefix):
                self._unusable(name, "has", prefix, "beginnings of addresses like https://mcr.microsoft.com/, or none")
        return tuple(f"^{re.escape(prefix)}" for prefix in given) or (r"(?i)^https?://",)

    def _number(self, name: str, default: int, good: Callable[[int], bool], expected: str) -> int:
        def parse(raw: str) -> int:
            if not re.fullmatch(r"-?[0-9]+", raw) or len(raw) > _LONGEST_NUMBER or not good(int(raw)):
                raise ValueError
            return int(raw)

        return self._read(name, default, parse, expected)

    def _read(self, name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
        """Parse a variable; ``parse`` raises ``LookupError`` or ``ValueError`` for an invalid value."""
        raw = self.text(name)
        try:
            return parse(raw) if raw else default
        except (LookupError, ValueError):
            self._unusable(name, "is", raw, expected)
            return default

    def _unusable(self, name: str, verb: str, raw: str, expected: str) -> None:
        self.problems.append(f"{name} {verb} {_CREDENTIALS.sub('//…@', raw)!r}; it must be {expected}.")


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    return raw


def _origin(raw: str) -> str:
    value = raw.rstrip("/").lower()
    parts = urlsplit(value)
    # "port" raises ValueError for one that is none.
    if parts.scheme != "https" or not re.fullmatch(r"[a-z0-9.:-]+", parts.hostname or "") or parts.port == 0:
        raise ValueError
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        raise ValueError
    return value.removesuffix(":443")


def _issuer(raw: str) -> str:
    value = raw.rstrip("/")
    parts = urlsplit(value)
    inside = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    good = bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and inside))
    if not good or parts.query or parts.fragment or len(value) > _LONGEST_ISSUER:
        raise ValueError
    return value
