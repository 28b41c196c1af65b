"""What a request says of its character set chooses nothing: the application as gunicorn calls it."""

import functools
import io
import json

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest
from django.test import RequestFactory
from django.utils.module_loading import import_string

from console.web.application import Utf8Request

pytestmark = pytest.mark.django_db

# Names that Python knows and that decode no text, fail at most of it, or are none at all.
CHARSETS = [
    "charset=hex", "charset=undefined", "charset=idna", "charset=punycode", "charset=zlib", "charset=\xe9", "charset=",
    "charset*=utf-8''%00", "charset*=hex''x", "charset*=a'b", "charset*=utf-8''%FF", "charset=../x", "charset=utf-16",
]  # fmt: skip
PART = b"--b\r\nContent-Disposition: form-data; name%s\r\n\r\nx\r\n--b--\r\n"


@functools.cache
def served():
    """What gunicorn is told to serve; it looks for the static files as it is loaded."""
    return import_string(settings.WSGI_APPLICATION)


def ask(method, path, kind="", body=b""):
    """The status, and the body."""
    base = RequestFactory().generic(method, path, body).environ
    said = []
    environ = {**base, "CONTENT_TYPE": kind, "HTTP_HOST": "127.0.0.1", "wsgi.input": io.BytesIO(body)}
    response = served()(environ, lambda status, headers: said.append(int(status[:3])))
    content = b"".join(response)
    response.close()
    return said[0], content


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("path", ["/sign-in/?q=%ff", "/token/?q=%ff", "/nothing/?q=%ff", "/healthz?q=x.y"])
def test_it_chooses_no_failure(charset, path):
    expected = {"/sign-in/": 200, "/token/": 200, "/nothing/": 404, "/healthz": 200}[path.partition("?")[0]]
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert ask("GET", path, f"{kind}; {charset}")[0] == expected


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_a_form_is_read_or_refused(charset, kind):
    for path, expected in (("/sign-in/", {400, 403}), ("/token/", {400})):
        assert ask("POST", path, f"{kind}; {charset}", b"grant_type=x&service=%ff")[0] in expected


@pytest.mark.parametrize("name", [b"*=hex''x", b"*=utf-8''%00", b"=x; filename*=hex''x", b"*=idna''a.b", b"=\xff"])
def test_parts_that_name_a_character_set(name):
    kind = "multipart/form-data; boundary=b"
    assert ask("POST", "/sign-in/", kind, PART % name)[0] in {400, 403, 413}
    assert ask("POST", "/token/", kind, PART % name)[0] in {400, 413}


def test_docker_is_told_in_its_protocol():
    for kind in (
        "application/x-www-form-urlencoded; charset=latin-1",
        "multipart/form-data",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=b; charset=hex",
    ):
        status, content = ask("POST", "/token/", kind, b"grant_type=password")
        assert (status, json.loads(content)["error"]) == (400, "invalid_request")
        assert json.loads(content)["errors"][0]["message"] == "The form cannot be read."


def test_a_form_in_utf_8():
    for charset in ("", "; charset=UTF-8", "; charset=utf8"):
        kind = f"application/x-www-form-urlencoded{charset}"
        environ = RequestFactory().post("/?q=%C3%A9", b"name=%C3%A9", content_type=kind).environ
        request = Utf8Request(environ)
        assert (request.GET["q"], request.POST["name"]) == ("é", "é")


def test_the_form_stays_refused():
    """Whoever looks at it again, as a page about the failure does, finds none."""
    kind = "application/x-www-form-urlencoded; charset=hex"
    request = Utf8Request(RequestFactory().generic("POST", "/", b"name=x", content_type=kind).environ)
    with pytest.raises(BadRequest):
        request.POST  # noqa: B018
    assert not request.POST and not request.FILES


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/images/copy/?state__exact=%00"),
        ("GET", "/admin/images/copy/?tag=a%00b"),
        ("GET", "/admin/images/copy/?%00=1"),
        ("GET", "/admin/images/copy/%00/change/"),
        ("GET", "/admin/images/image/?q=%00"),
        ("POST", "/admin/images/copy/"),
    ],
)
def test_the_administration_looks_for_no_nul(client, world, method, path):
    form = {"action": "delete_selected", "_selected_action": "a\0"} if method == "POST" else None
    assert client.get(path).status_code == 400 if form is None else client.post(path, form).status_code == 400
    assert client.get("/admin/images/copy/?q=a").status_code == 200
