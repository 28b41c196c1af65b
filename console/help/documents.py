"""The documents of the help: which there are, and each rendered once in a process."""

from __future__ import annotations

import functools
import html
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import get_script_prefix, reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from console.web.markdown import Section, render_document

# The document about the certificate of the installation's own authority, for everybody, signed in or not.
CERTIFICATE = "certificate"
# Files below ``docs/`` in the order in which they are listed, each with its summary. A page's name is its file's.
_FOR_USERS = {
    "help/getting-started.md": _("From a new account to the first image that you push and pull."),
    "help/images-and-tags.md": _("Names, public and private images, tags, platforms, deleting, quotas."),
    "help/other-clients.md": _("Commands for Podman, skopeo, Helm, ORAS, cosign, Notation and Kubernetes."),
    "help/access-tokens-and-ci.md": _("Let a build server or another program push and pull without your password."),
    "help/members-and-teams.md": _("Share a namespace or an image: roles, invitations, teams, who has access and why."),
    "help/copying-and-importing.md": _("Copy tags between your images, or bring images in from other registries."),
    "help/official-images.md": _("Pull Docker Hub’s official images through the cache, or copy them."),
    "help/certificate.md": _("Make Docker, other clients and browsers trust this installation’s certificate."),
    "help/troubleshooting.md": _("What to do when a command fails."),
}
_FOR_ADMINISTRATORS = {
    "team.md": _("Give everything one https address, with a certificate from Let’s Encrypt, of your own, or internal."),
    "operations.md": _("Accounts, backups, upgrades, storage, keys, the log, and a proxy for other machines."),
    "configuration.md": _("All environment variables."),
    "registry.md": _("Use My Images with a registry that you run yourself."),
    "security.md": _("What is promised, against whom, and which limits there are."),
}

_CODE_BLOCK = re.compile(r"<pre><code(?P<attributes>[^>]*)>(?P<code>.*?)</code></pre>", re.DOTALL)
_WITH_A_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class HelpPage:
    """A document of the help.

    :param name: what its address ends in.
    :param address: of its page.
    :param summary: what is in it, in one sentence.
    :param html: its body without the title, with placeholders (``console.help.placeholders``) in the users' documents.
    :param sections: the texts that are searched.
    """

    name: str
    administration: bool
    address: str
    title: str
    summary: str
    html: SafeString
    sections: tuple[Section, ...]

    @property
    def headings(self) -> list[Section]:
        """The headings of the second level, for the table of contents."""
        return [section for section in self.sections if section.level == 2]


def help_pages(*, administration: bool) -> tuple[HelpPage, ...]:
    """The documents in their order. The one about the authority is there where the installation has one of its own.

    :param administration: those for administrators, or those for users.
    """
    pages = _load(administration, get_language(), get_script_prefix())
    if settings.AUTHORITY_CERTIFICATE is None:
        return tuple([page for page in pages if page.name != CERTIFICATE])
    return pages


@functools.lru_cache(maxsize=8)
def _load(administration: bool, _language: str | None, _prefix: str) -> tuple[HelpPage, ...]:
    files = _FOR_ADMINISTRATORS if administration else _FOR_USERS
    return tuple([_render(file, administration) for file in files])


def _render(file: str, administration: bool) -> HelpPage:
    text = Path(settings.BASE_DIR, "docs", file).read_text(encoding="utf-8")
    document = render_document(text, functools.partial(_resolve_link, file))
    body = _CODE_BLOCK.sub(_code_block, document.html)
    body = body.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    return HelpPage(
        name=Path(file).stem,
        administration=administration,
        address=_address(file),
        title=document.title,
        summary=str((_FOR_USERS | _FOR_ADMINISTRATORS)[file]),
        html=mark_safe(body),  # noqa: S308  # nosec B308, B703 # sanitised by render_document
        sections=document.sections,
    )


def _address(file: str) -> str:
    view = "help-administration" if file in _FOR_ADMINISTRATORS else "help-page"
    return reverse(view, args=[Path(file).stem])


def _resolve_link(file: str, link: str) -> str | None:
    """The address for a link in a document: of another page of the help, or of the web; ``None`` for other files."""
    if link.startswith("#") or _WITH_A_SCHEME.match(link):
        return link
    path, hash_mark, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
    known = target in _FOR_USERS or target in _FOR_ADMINISTRATORS
    return f"{_address(target)}{hash_mark}{anchor}" if known else None


def _code_block(found: re.Match[str]) -> str:
    """Commands get a button that copies them; what is marked as ``text`` is no command."""
    if "language-text" in found["attributes"]:
        return f'<pre class="wrapped"><code>{found["code"]}</code></pre>'
    return render_to_string("components/_command.html", {"command": html.unescape(found["code"]).rstrip("\n")})
