"""WSGI application and middleware: requests in UTF-8, without NUL characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_header_parameters

from console.web import request_bodies

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
    """Django's, for such requests, and for chunked bodies."""

    request_class = Utf8Request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a WSGI request."""
        request_bodies.set_length(environ)
        return super().__call__(environ, start_response)


# The field that a window for choosing a row may answer with: every reference of ours is to a primary key of this name.
_CHOSEN_BY = {"id"}


class StorableMiddleware:
    """Refuses what the administration fails at: NUL, and names of fields that rows cannot be chosen by (``_to_field``).

    Its lists compare columns with whatever an address says, and look for the field of whatever name. Our own pages
    leave NUL out, or find nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], arguments: Any, parts: dict[str, Any]
    ) -> None:
        """Look at the address and the form.

        :raises BadRequest: when there is a NUL in them, or the name of such a field.
        """
        match = request.resolver_match
        if match is None or "admin" not in match.app_names:
            return
        given = [text for form in (request.GET, request.POST) for _name, texts in form.lists() for text in texts]
        if any("\0" in str(text) for text in (*given, *request.GET, *request.POST, *parts.values())):
            raise BadRequest("There is a NUL in the request.")
        if not _CHOSEN_BY.issuperset(request.GET.getlist("_to_field") + request.POST.getlist("_to_field")):
            raise BadRequest("Can’t filter by this field.")
