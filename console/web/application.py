"""WSGI application and middleware: requests in UTF-8, without NUL characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_header_parameters

from console.web import protocol_errors, request_bodies

_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}
_UTF_8 = {"utf-8", "utf8"}


class Utf8Request(WSGIRequest):
    """A request whose URL is read as UTF-8 (RFC 3986), and whose form must be UTF-8: our pages send no other.

    Django decodes the URL with the ``charset`` of the body. Some Python codecs decode no text, or fail for most of it,
    so that a client could cause a server error. Headers of a form's parts can name a codec as well (RFC 2231).
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
    """Django's WSGI application with ``Utf8Request``, whole bodies, and support for chunked ones and for ``HEAD``."""

    request_class = Utf8Request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a WSGI request."""
        if not request_bodies.read_whole(environ):
            # Nobody is there any more to read it.
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        request_bodies.set_length(environ)
        if environ["REQUEST_METHOD"] != "HEAD":
            return super().__call__(environ, start_response)
        # The headers of a GET, without its content (RFC 9110, 9.3.2). Views of registry clients answer it themselves.
        method = "HEAD" if protocol_errors.speaks_protocol(environ.get("PATH_INFO", "")) else "GET"
        super().__call__({**environ, "REQUEST_METHOD": method}, start_response).close()
        return []


# The admin's related-object popup may select a row by this field: all our foreign keys refer to the primary key ``id``.
_TO_FIELDS = {"id"}


class AdminInputMiddleware:
    """Answers 400 to input that makes the administration fail: NUL characters, and unknown fields in ``_to_field``.

    The admin's lists pass the query string to the database, and use any field name in it. Our own pages remove NUL.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], arguments: Any, parts: dict[str, Any]
    ) -> None:
        """Check the URL and the form of a request to the administration.

        :raises BadRequest: for a NUL character, or another field in ``_to_field``.
        """
        match = request.resolver_match
        if match is None or "admin" not in match.app_names:
            return
        given = [text for form in (request.GET, request.POST) for _name, texts in form.lists() for text in texts]
        if any("\0" in str(text) for text in (*given, *request.GET, *request.POST, *parts.values())):
            raise BadRequest("There is a NUL in the request.")
        if not _TO_FIELDS.issuperset(request.GET.getlist("_to_field") + request.POST.getlist("_to_field")):
            raise BadRequest("Rows cannot be chosen by this field.")
