"""Requests in UTF-8, whatever they say of themselves."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}
_UTF_8 = {"utf-8", "utf8"}


class Utf8Request(WSGIRequest):
    """A request whose address is UTF-8 (RFC 3986), and whose form is UTF-8 or refused: our pages send no other.

    Django decodes an address as the body's ``charset`` says. Python knows names of that kind that decode no text, or
    fail at most of it: whoever asks could choose a failure. Headers of a form's parts can name some as well (RFC 2231).
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except (LookupError, ValueError):
            self.content_type, self.content_params = "", {}

    def _load_post_and_files(self) -> None:
        """Read the form.

        :raises BadRequest: when it is in another character set.
        """
        charset = (self.content_params or {}).get("charset", "utf-8")
        try:
            if self.method == "POST" and self.content_type in _FORMS and charset.lower() not in _UTF_8:
                raise LookupError(charset)
            super()._load_post_and_files()
        except LookupError:
            self._mark_post_parse_error()  # type: ignore[attr-defined]
            raise BadRequest("The form is not in UTF-8.") from None


class Application(WSGIHandler):
    """Django's, for such requests."""

    request_class = Utf8Request
