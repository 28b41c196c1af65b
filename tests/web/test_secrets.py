"""What opens something is in no log, error, job, page and page of the administration, however the request ends."""

import base64
import contextlib
import io
import logging
import logging.config

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from console.accounts.models import Account
from console.audit import summaries
from console.login import sign_in_links
from tests.support import identity_provider as provider_module
from tests.web.secret_doors import DOORS, House, forms_of, new

pytestmark = pytest.mark.django_db


def test_every_way_to_write_one_is_found():
    secret = new()
    for before in ("", "a", "ab", "abc:"):
        text = base64.b64encode(f"{before}{secret}:and more".encode()).decode()
        assert any(form in text for form in forms_of(secret)), before


@pytest.fixture(scope="module")
def server():
    made = provider_module.Provider()
    yield made
    made.stop()


@pytest.fixture
def house(server, settings, monkeypatch, world):
    """Somebody with secrets, beside an administrator who sees rows of everything."""
    cache.clear()
    summaries.forget()
    server.reset()
    monkeypatch.setattr(provider_module, "SECRET", new("provider"))
    settings.OIDC_ISSUER, settings.OIDC_NAME = server.issuer, "Example"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider_module.CLIENT, provider_module.SECRET
    yield House(server)
    summaries.forget()


@contextlib.contextmanager
def logged():
    """All that anybody logs, of every level, written as the settings have it written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    configured = logging.config.DictConfigurator(settings.LOGGING)
    stderr = configured.config["handlers"]["stderr"]
    handler.setFormatter(configured.configure_formatter(configured.config["formatters"][stderr["formatter"]]))
    for name in stderr["filters"]:
        handler.addFilter(configured.configure_filter(configured.config["filters"][name]))
    loggers = [
        logging.root,
        *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)),
    ]
    before = [(logger, logger.level) for logger in loggers]
    logging.root.addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        yield stream
    finally:
        logging.root.removeHandler(handler)
        for logger, level in before:
            logger.setLevel(level)


def rows_of(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT row_to_json({table})::text FROM {table}")
        return "\n".join(row for (row,) in cursor.fetchall())


def administration(client):
    """Each list, and the pages of each model's newest rows, as a superuser sees them."""
    for model, of in admin.site._registry.items():
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = [reverse(f"{place}_changelist")]
        newest = model._default_manager.order_by("-pk").values_list("pk", flat=True)[:3]
        pages += [reverse(f"{place}_change", args=[pk]) for pk in newest]
        if model is Account:
            pages += [reverse(f"{place}_change", args=[pk]) for pk in model.objects.values_list("pk", flat=True)]
        for page in pages:
            answer = client.get(page)
            assert answer.status_code == 200, (page, of)
            yield page, answer.content.decode()


def broken(*arguments, **options):
    raise RuntimeError("this is broken")


@pytest.mark.parametrize("course", ["works", "refuses", "breaks"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.ask.__name__)
def test_no_secret_gets_out(door, course, house, client, monkeypatch, django_capture_on_commit_callbacks):
    with logged() as log, monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        if course == "breaks":
            patch.setattr(door.deep, broken)
        answer = door.ask(house, course != "refuses")
    assert answer.status_code == {"works": door.works, "refuses": door.refuses, "breaks": 500}[course], answer.content
    if course == "breaks":
        assert "RuntimeError: this is broken" in log.getvalue()
    summaries.flush()
    shown = house.given if door.gives and course == "works" else set()
    places = {
        "headers": "\n".join(f"{name}: {value}" for name, value in answer.items()),
        "jobs": rows_of("procrastinate_jobs"),
        "events": rows_of("procrastinate_events"),
        "trail": rows_of("audit_auditevent"),
        **dict(administration(client)),
        "log": log.getvalue(),
    }
    assert len(places) > 40
    for secret in house.secrets:
        for form in forms_of(secret):
            for place, text in places.items():
                assert form not in text, f"{secret} is in {place}"
            if secret not in shown:
                assert form not in answer.content.decode(), f"{secret} is in the answer"


def test_a_form_without_its_token(house):
    """Django logs the address, and what is in it is still good."""
    address = sign_in_links.make(house.account).removeprefix(settings.CONSOLE_URL)
    with logged() as log:
        assert Client(enforce_csrf_checks=True).post(address).status_code == 403
    assert "Forbidden (CSRF cookie not set.): /sign-in/link/" in log.getvalue()
    assert address.split("/")[-2] not in log.getvalue()
