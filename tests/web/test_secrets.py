"""What opens something is in no log, error, job, page and page of the administration, however the request ends."""

import base64
import contextlib
import io
import logging
import logging.config

import pytest
from django.conf import settings
from django.contrib import admin
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from console.accounts.models import Account
from console.audit import summaries
from console.login import sign_in_links
from console.throttling.models import Mark
from tests.support import identity_provider as provider_module
from tests.web.secret_requests import REQUESTS, Owner, forms_of, new

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
def make_owner(server, settings, monkeypatch, world):
    """Factory of somebody with secrets, beside an administrator who sees rows of everything."""
    settings.OIDC_ISSUER, settings.OIDC_NAME = server.issuer, "Example"

    def make():
        cache.clear()
        Mark.objects.all().delete()
        summaries.forget()
        mail.outbox.clear()
        server.reset()
        monkeypatch.setattr(provider_module, "SECRET", new("provider"))
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider_module.CLIENT, provider_module.SECRET
        return Owner(server)

    yield make
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


def keys():
    """The primary keys of all rows in the administration, by model."""
    return {model: set(model._default_manager.values_list("pk", flat=True)) for model in admin.site._registry}


def pages(client, rows):
    """The list of each model, and the page of each of the ``rows``, as a superuser sees them."""
    for model, chosen in rows.items():
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for page in [reverse(f"{place}_changelist"), *(reverse(f"{place}_change", args=[pk]) for pk in chosen)]:
            answer = client.get(page)
            assert answer.status_code == 200, page
            yield page, answer.content.decode()


def administration(client):
    """Each list, the pages of all accounts, and of each other model's newest rows."""
    newest = {model: model._default_manager.order_by("-pk").values_list("pk", flat=True) for model in keys()}
    return pages(client, {model: found if model is Account else found[:3] for model, found in newest.items()})


def leaks(secrets, places):
    """Which of the secrets are in which of the texts, however they are written."""
    for secret in secrets:
        for form in forms_of(secret):
            yield from (f"{secret} is in {place}" for place, text in places.items() if form in text)


def broken(*arguments, **options):
    raise RuntimeError("this is broken")


@pytest.mark.parametrize("course", ["works", "refuses", "breaks"])
def test_no_secret_gets_out(course, make_owner, client, monkeypatch, django_capture_on_commit_callbacks):
    """After each request the pages with new rows are read; in the end, those of everything."""
    found, secrets = [], set()
    for one in REQUESTS:
        before, owner = keys(), make_owner()
        with logged() as log, monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
            if course == "breaks":
                patch.setattr(one.breaks, broken)
            answer = one.ask(owner, course != "refuses")
        name, expected = one.ask.__name__, {"works": one.works, "refuses": one.refuses, "breaks": 500}[course]
        assert answer.status_code == expected, (name, answer.content)
        if course == "breaks":
            assert "RuntimeError: this is broken" in log.getvalue(), name
        summaries.flush()
        made = {model: rows - before[model] for model, rows in keys().items() if rows - before[model]}
        assert Account in made
        places = {
            "headers": "\n".join(f"{name}: {value}" for name, value in answer.items()),
            "jobs": rows_of("procrastinate_jobs"),
            "events": rows_of("procrastinate_events"),
            "trail": rows_of("audit_auditevent"),
            "log": log.getvalue(),
            **dict(pages(client, made)),
        }
        shown = owner.given if one.gives and course == "works" else set()
        found += (f"{name}: {leak}" for leak in leaks(owner.secrets, places))
        found += (f"{name}: {leak}" for leak in leaks(owner.secrets - shown, {"the answer": answer.content.decode()}))
        secrets |= owner.secrets
    everything = dict(administration(client))
    assert len(everything) > 40
    found += leaks(secrets, everything)
    assert not found, "\n".join(found)


def test_a_form_without_its_token(make_owner):
    """Django logs the address, and what is in it is still good."""
    owner = make_owner()
    address = sign_in_links.make(owner.account).removeprefix(settings.CONSOLE_URL)
    with logged() as log:
        assert Client(enforce_csrf_checks=True).post(address).status_code == 403
    assert "Forbidden (CSRF cookie not set.): /sign-in/link/" in log.getvalue()
    assert address.split("/")[-2] not in log.getvalue()
