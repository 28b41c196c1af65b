"""Template tags and filters that all pages share."""

from __future__ import annotations

import datetime
import functools
import re
from typing import Any

from django import template
from django.core.paginator import Paginator
from django.http import QueryDict
from django.urls import get_script_prefix
from django.utils.formats import number_format
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from heroicons.templatetags.heroicons import heroicon_mini, heroicon_outline, heroicon_solid

from console.web import fragments
from console.web.keyset import KeysetPage
from console.web.markdown import render_markdown
from console.web.paging import NOWHERE, PAGE_SIZES, address_with
from console.web.time_zones import chosen_zone

register = template.Library()
# Limit of each cache: of pagers, and of column heads.
_CACHED = 1024

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@register.filter
def size(count: int | None) -> str:
    """Bytes in binary units (IEC 80000-13): ``1536`` is ``1.5 KiB``."""
    return _size(count or 0, get_language())


@functools.lru_cache(maxsize=4096)
def _size(count: int, language: str | None) -> str:
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    places = 0 if unit == "B" or value >= 100 else 1
    return f"{number_format(value, places, force_grouping=True)}\N{NO-BREAK SPACE}{unit}"


@register.filter
def number(count: int | None) -> str:
    """A whole number with digit grouping."""
    if count is not None and 0 <= count < 1000:
        return str(count)
    return str(number_format(count or 0, 0, force_grouping=True))


@register.filter
def moment(value: datetime.datetime | None, none: str = "–") -> str:
    """A time in the account's zone, or in UTC, which JavaScript converts to the browser's; the exact UTC on hover.

    :param none: what is shown for ``None``.
    """
    return escape(none) if value is None else _time(value, 16, "")


@register.filter
def day(value: datetime.datetime) -> str:
    """The day of a time, for lists of what is old: like ``moment``, with the time of day on hover."""
    return _time(value, 10, " data-day")


def _time(value: datetime.datetime, length: int, mark: str) -> str:
    utc = value.astimezone(datetime.UTC)
    exact, zone = utc.isoformat(timespec="seconds"), chosen_zone()
    shown = utc.isoformat(" ", "minutes") if zone is None else _in_zone(utc, zone)
    zoned = "" if zone is None else " data-zoned"
    # Digits alone: there is nothing to escape.
    text = f'<time datetime="{exact}" title="{exact[:10]} {exact[11:19]} UTC"{mark}{zoned}>{shown[:length]}</time>'
    return SafeString(text)  # nosec B703


def _in_zone(utc: datetime.datetime, zone: datetime.tzinfo) -> str:
    try:
        return utc.astimezone(zone).isoformat(" ", "minutes")
    except OverflowError:  # the year 1, which some builders write
        return utc.isoformat(" ", "minutes")


_PERIODS = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def elapsed(value: datetime.datetime | None, now: datetime.datetime) -> str:
    """How long ago ``value`` was, in one word and a number: ``3 hours ago``; ``Never`` for ``None``."""
    if value is None:
        return _("Never")
    seconds = int((now - value).total_seconds())
    for period, length in _PERIODS:
        if seconds >= length:
            return _elapsed(period, seconds // length, get_language())
    return _("just now")


@functools.lru_cache(maxsize=1024)
def _elapsed(period: str, count: int, language: str | None) -> str:
    if period == "year":
        words = ngettext("%(count)s year ago", "%(count)s years ago", count)
    elif period == "month":
        words = ngettext("%(count)s month ago", "%(count)s months ago", count)
    elif period == "day":
        words = ngettext("%(count)s day ago", "%(count)s days ago", count)
    elif period == "hour":
        words = ngettext("%(count)s hour ago", "%(count)s hours ago", count)
    else:
        words = ngettext("%(count)s minute ago", "%(count)s minutes ago", count)
    return words % {"count": count}


@register.filter
def ago(value: datetime.datetime | None) -> str:
    """A time relative to now, with the exact UTC on hover and for screen readers."""
    return relative_time(value, elapsed(value, datetime.datetime.now(datetime.UTC)))


def relative_time(value: datetime.datetime | None, words: str) -> str:
    """The same where the words are known, as ``elapsed`` gives them."""
    if value is None:
        return SafeString(f'<span class="muted">{escape(words)}</span>')  # nosec B703
    exact = value.astimezone(datetime.UTC).isoformat(timespec="seconds")
    utc = f"{exact[:10]} {exact[11:19]} UTC"
    # Two pieces of text: a script keeps the first one up to date (static/js/app.js).
    shown = f'{escape(words)}<span class="hidden">, {utc}</span>'
    return SafeString(f'<time datetime="{exact}" title="{utc}" data-ago>{shown}</time>')  # nosec B703


_INSIDE_ADDRESSES = re.compile(r"(?<=[^/\s])/(?=[^/\s])")
_OPTIONS = re.compile(r"(?<![^\s])--?[a-zA-Z][a-zA-Z0-9-]*")
_SEPARATORS = re.compile(r"[/._+-]+(?=[^/._+-])")


@register.filter
def breakable(name: str) -> str:
    """A name that may break after its separators, and nowhere inside a word."""
    return SafeString(_SEPARATORS.sub(r"\g<0><wbr>", escape(name)))  # nosec B703


@register.filter
def breakable_address(address: str) -> str:
    """An IP address that may break after its colons."""
    return SafeString(escape(address).replace(":", ":<wbr>"))  # nosec B703


@register.filter
def breakable_command(command: str) -> str:
    """A command that may break within an address after its slashes, and nowhere inside a word or an option."""
    broken = _INSIDE_ADDRESSES.sub(r"\g<0><wbr>", escape(command))
    return SafeString(_OPTIONS.sub(r'<span class="nowrap">\g<0></span>', broken))  # nosec B703


@register.filter
def short_digest(digest: str) -> str:
    """The first twelve digits, as Docker shows an ID."""
    return digest.partition(":")[2][:12] or digest[:12]


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as sanitised HTML."""
    return render_markdown(text)


_ICONS = {"mini": heroicon_mini, "outline": heroicon_outline, "solid": heroicon_solid}


@register.simple_tag
@functools.lru_cache(maxsize=256)
def icon(style: str, name: str, size: int) -> str:
    """A Heroicon, hidden from screen readers: there is text beside it. Cached, since a page has hundreds.

    :param style: ``mini``, ``outline`` or ``solid``.
    :param size: width and height in pixels.
    """
    return _ICONS[style](name, size=size, aria_hidden="true")


@register.simple_tag
def copy(text: str, label: str = "", of: str = "") -> str:
    """A button that copies ``text``; ``label`` is its text for screen readers.

    :param of: what the text belongs to, for screen readers; with it the label is shown.
    """
    values = {"text": text, "label": label or _("Copy %s") % text, "of": of, "shown": bool(of)}
    return fragments.render("components/_copy.html", values)


@register.inclusion_tag("components/_field.html")
def field(bound: Any) -> dict[str, Any]:
    """A form field with its label, help and errors, connected for screen readers.

    The first invalid field gets the focus. No field has ``maxlength``: a browser would silently cut a pasted text, and
    the rest would be submitted. The form's validation reports it instead.
    """
    attrs = bound.field.widget.attrs
    attrs.pop("maxlength", None)
    described = []
    if bound.help_text:
        described.append(f"{bound.auto_id}_help")
    if bound.errors:
        described.append(f"{bound.auto_id}_errors")
        attrs["aria-invalid"] = "true"
    if described:
        attrs["aria-describedby"] = " ".join(described)
    first = next((one.name for one in bound.form.visible_fields() if one.errors), None)
    if first is not None:
        attrs.pop("autofocus", None)
        if bound.name == first:
            attrs["autofocus"] = True
    return {"field": bound}


def _total(count: int) -> str:
    return ngettext("%(total)s in total", "%(total)s in total", count) % {"total": number(count)}


def _sizes(query: QueryDict, now: int) -> list[dict[str, Any]]:
    """The choices of rows per page, each with its link; all links begin at the first page."""
    return [
        {"size": str(one), "here": one == now, "address": address_with(query, **NOWHERE, size=str(one))}
        for one in PAGE_SIZES
    ]


@register.simple_tag(takes_context=True)
def pager(context: Any) -> str:
    """The pager below a list: links to the other pages of ``rows``, their total, and rows per page."""
    rows, query = context["rows"], context["request"].GET
    if isinstance(rows, KeysetPage):
        values = {
            "total": _total(rows.total),
            "first": rows.first,
            "previous": rows.previous,
            "pages": [],
            "following": rows.following,
            "last": rows.last,
            "sizes": _sizes(query, rows.size),
        }
        return fragments.render("components/_pager.html", values)
    place = rows.number, rows.paginator.count, rows.paginator.per_page
    return _pager(query.urlencode(), *place, get_language(), get_script_prefix())


@functools.lru_cache(maxsize=_CACHED)
def _pager(address: str, number: int, count: int, per_page: int, _language: str | None, _prefix: str) -> str:
    query = QueryDict(address)
    paginator = Paginator(range(count), per_page)

    def at(place: int) -> str:
        return address_with(query, page=str(place))

    pages = [
        {"number": str(one), "here": one == number, "address": at(one) if isinstance(one, int) else ""}
        for one in paginator.get_elided_page_range(number, on_each_side=1, on_ends=1)
    ]
    values = {
        "total": _total(count),
        "first": "",
        "pages": pages if paginator.num_pages > 1 else [],
        "previous": at(number - 1) if number > 1 else "",
        "following": at(number + 1) if number < paginator.num_pages else "",
        "last": "",
        "sizes": _sizes(query, per_page),
    }
    return fragments.render("components/_pager.html", values)


@register.simple_tag(takes_context=True)
def sort_head(context: Any, name: str, label: str, numeric: bool = False) -> str:
    """The head of a sortable column; a second click reverses the order."""
    address, current = context["request"].GET.urlencode(), context["sort"]
    return _sort_head(address, current, name, str(label), numeric, get_script_prefix())


@functools.lru_cache(maxsize=_CACHED)
def _sort_head(address: str, current: str, name: str, label: str, numeric: bool, _prefix: str) -> str:
    sort = f"-{name}" if current == name else name
    values = {
        "name": name,
        "query": address_with(QueryDict(address), **NOWHERE, sort=sort),
        "label": label,
        "numeric": numeric,
        "ascending": current == name,
        "descending": current == f"-{name}",
    }
    return fragments.render("components/_sort.html", values)


# Parts of the site that the account's menu leads to.
_OF_ACCOUNT = ("account", "access-tokens", "logins", "security")


def _account_menu(context: Any) -> dict[str, Any]:
    """What the account's menu shows; nothing for somebody who is not signed in."""
    account = context["request"].user
    if not account.is_authenticated:
        return {}
    return {
        "account": {"name": account.name, "account_id": account.account_id, "is_staff": account.is_staff},
        "with_password": account.signs_in_with_password,
        "dark": account.theme == "dark",
        "here": context.get("section") in _OF_ACCOUNT,
        "csrf_token": str(context["csrf_token"]),
    }


@register.simple_tag(takes_context=True)
def sidebar(context: Any) -> str:
    """The bar with the parts of the site and the account's menu, and the search for an activated account.

    ``section`` is where the page belongs, ``search_text`` what was searched for everywhere.
    """
    account, text = context["request"].user, str(context.get("search_text", ""))
    values = {
        "section": {str(context.get("section", "")).replace("-", "_"): True},
        "searches": account.is_authenticated and account.activated,
        "search_text": text,
    }
    return fragments.render("components/_sidebar.html", {**values, **_account_menu(context)})


@register.simple_tag(takes_context=True)
def theme(context: Any) -> str:
    """Attributes of the page's root: the account's theme, which counts from the first paint (static/js/theme.js)."""
    account = context["request"].user
    if not account.is_authenticated:
        return ""
    # One of three words: there is nothing to escape.
    chosen = f' data-theme="{account.theme}"' if account.theme != "system" else ""
    return SafeString(f'{chosen} data-account-theme="{account.theme}"')  # nosec B703


@register.simple_tag(takes_context=True)
def account_menu(context: Any) -> str:
    """The account's menu alone, for a page with another bar."""
    return fragments.render("components/_account_menu.html", _account_menu(context))


@register.simple_tag
def breadcrumbs(*parts: str) -> str:
    """Where the page is: the pages above it, the highest first, and the page itself, which is no link.

    :param parts: label and address of each page above, one after another, and last the page's own label.
    """
    *above, here = map(str, parts)
    crumbs = [{"label": label, "address": address} for label, address in zip(above[::2], above[1::2], strict=True)]
    return fragments.render("components/_breadcrumbs.html", {"crumbs": crumbs, "here": here})


@register.simple_tag
def cached(template: str, **values: Any) -> str:
    """Include ``template`` with only these values (texts and tuples of texts), cached by them."""
    return fragments.cached(template, **values)


@register.simple_tag
def fixed(name: str) -> str:
    """Include the template ``name``, which is the same on each page; it gets no context."""
    return fragments.render(name, {})
