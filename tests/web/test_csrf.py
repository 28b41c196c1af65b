"""No form of another site does anything here."""

import pytest
from django.test import Client

from console.audit.models import AuditEvent
from tests.support.responses import text_of
from tests.support.site_addresses import every_address

pytestmark = pytest.mark.django_db

# Who posts there has no cookies, and says who it is by what it sends.
EXEMPT = {
    "token": "Docker clients, with a password or a token in the form",
    "notifications": "the registry, with a secret in its Authorization header",
    **dict.fromkeys(
        (
            "gate-catalog", "gate-tags", "gate-manifest", "gate-referrers", "gate-unknown",
            "gate-uploads", "gate-upload", "gate-blob", "gate-chunk", "gate-start-upload",
        ),
        "registry clients, with a token in their Authorization header",
    ),
}  # fmt: skip


def test_each_address_refuses_a_form_without_the_token(world):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.ann)
    events = AuditEvent.objects.count()
    for name, path, _view in every_address():
        for method in ("post", "put", "patch", "delete"):
            response = getattr(browser, method)(path, {} if method == "post" else b"")
            if name in EXEMPT:
                assert response.status_code in {400, 401, 404, 405}, path
            else:
                assert response.status_code == 403, (method, path)
                assert "This form has expired" in text_of(response), (method, path)
    assert AuditEvent.objects.count() == events


def test_those_that_are_exempt():
    exempt = {name for name, _path, view in every_address() if getattr(view, "csrf_exempt", False)}
    assert exempt == set(EXEMPT)


def test_a_form_of_another_site_with_the_token(world):
    """Somebody who could set a cookie of ours, from a neighbouring host for instance."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.ann)
    browser.get("/account/password/")
    token = browser.cookies["my_images_csrf"].value
    form = {"csrfmiddlewaretoken": token, "name": "stolen"}
    refused = browser.post("/namespaces/-/create/", form, headers={"Origin": "https://evil.example.com"})
    assert refused.status_code == 403
    assert browser.post("/namespaces/-/create/", form).status_code == 302


def test_cookies(client, world):
    response = client.get("/account/password/")
    cookie = response.cookies["my_images_csrf"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
