"""URL path converter for the registry's API."""

from django.urls.converters import StringConverter


class AnythingConverter(StringConverter):
    """Any text, with slashes: a name that is invalid gets the protocol's error, not the page of an unknown address."""

    regex = r"[\s\S]*"
