"""All URLs of the site, so that tests include new ones automatically."""

import re

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from tests.support.site_rows import INDEX

# A sample for each URL converter, from ``tests.web.test_queries.World``.
SAMPLES = {
    "NamespaceConverter": "team",
    "RepositoryConverter": "team/app",
    "TagConverter": "multi",
    "DigestConverter": INDEX,
    "OfficialImageConverter": "official0",
    "AnythingConverter": "team/app",
    "IntConverter": "1",
    "StringConverter": "some",
    "SlugConverter": "some",
    "PathConverter": "some",
    "UUIDConverter": "00000000-0000-0000-0000-000000000000",
}
_PART = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
_OF_A_ROW = re.compile(r"admin:(auth)_(user)_password_change|admin:([a-z]+)_([a-z]+)_(?:change|history|delete)")
# Patterns of the administration: an alternative of words, and the catch-all at the end.
_ONE_OF = re.compile(r"\^\(\?P<\w+>(\w+)\|[\w|]+\)/\$")
_ANYTHING = r"(?P<url>.*)$"


def _path(pattern, name):
    if not isinstance(pattern, RoutePattern):
        expression = str(pattern)
        return "nothing/there" if expression == _ANYTHING else f"{_ONE_OF.fullmatch(expression)[1]}/"
    samples = {at: SAMPLES[type(converter).__name__] for at, converter in pattern.converters.items()}
    if (found := _OF_A_ROW.fullmatch(name)) and samples:
        app, model = ("accounts", "account") if found[1] else (found[3], found[4])
        row = apps.get_model(app, model).objects.first()
        samples = dict.fromkeys(samples, str(row.pk) if row else "1")
    return _PART.sub(lambda part: samples[part[1]], pattern._route)


def every_address(resolver=None, before="/", space=""):
    """The name, path and view of each URL.

    :raises KeyError: when a converter has no sample yet.
    """
    resolver = resolver or get_resolver()
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inside = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from every_address(pattern, before + _path(pattern.pattern, ""), inside)
        elif isinstance(pattern, URLPattern):
            name = f"{space}{pattern.name or ''}"
            yield name, before + _path(pattern.pattern, name), pattern.callback
