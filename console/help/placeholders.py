"""Placeholders of the users' documents: this installation's addresses, the reader's user name and namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from console.accounts.models import Account
from console.help.authority import Authority, load_authority
from console.images.commands import this_registry
from console.namespaces.models import Namespace

NAMES = (
    "registry", "hub", "hub_host", "console", "username", "namespace", "tls_verify", "src_tls_verify",
    "dest_tls_verify", "plain_http", "checksum", "fingerprint",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\{\{ (" + "|".join(NAMES) + r") \}\}")


def values_for(account: Account) -> dict[str, str]:
    """What stands for each placeholder when ``account`` reads.

    The options are empty where the registry has TLS, and begin with a blank where it has none.
    """
    registry, credential = this_registry(), account.registry_credential
    namespace = Namespace.objects.allowing(account, "image.create").order_by("name").first()
    return {
        **public_values(load_authority()),
        "hub": settings.DOCKERHUB_ADDRESS,
        # Without the folder that the cache may be at the registry's address.
        "hub_host": settings.DOCKERHUB_ADDRESS.partition("/")[0],
        "username": credential.username if credential else "[UserName]",
        "namespace": namespace.name if namespace else "[namespace]",
        "tls_verify": registry.option("--tls-verify=false"),
        "src_tls_verify": registry.option("--src-tls-verify=false"),
        "dest_tls_verify": registry.option("--dest-tls-verify=false"),
        "plain_http": registry.option("--plain-http"),
    }


def public_values(authority: Authority | None) -> dict[str, str]:
    """What stands for the placeholders that do not depend on the reader."""
    return {
        "registry": settings.REGISTRY_ADDRESS,
        "console": settings.CONSOLE_URL,
        "checksum": authority.checksum if authority else "",
        "fingerprint": authority.fingerprint if authority else "",
    }


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the placeholders replaced."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text) if "{{" in text else text


def fill_html(html: SafeString, values: Mapping[str, str]) -> SafeString:
    """Safe HTML with the placeholders replaced by the values, escaped for texts and attributes."""
    filled = _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), html)
    return mark_safe(filled)  # noqa: S308  # nosec B308, B703 # escaped just now
