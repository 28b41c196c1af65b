"""What programs ask is answered without what only people's pages need."""

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.test import Client
from django.urls import reverse

from console.audit.origin import SYSTEM, origin
from console.web import api_endpoints

ADDRESSES = {"token": 200, "notifications": 401}


@pytest.fixture
def client():
    return Client(SERVER_NAME="127.0.0.1")


@pytest.fixture
def opened(monkeypatch):
    """The addresses for which a session was looked for."""
    seen = []
    monkeypatch.setattr(SessionMiddleware, "process_request", lambda _self, request: seen.append(request.path))
    return seen


def ask(client, name):
    return client.get(reverse(name)) if name == "token" else client.post(reverse(name))


@pytest.mark.django_db
@pytest.mark.parametrize("name", ADDRESSES)
def test_no_session_is_looked_for(client, opened, name):
    assert ask(client, name).status_code == ADDRESSES[name]
    assert opened == []


def test_a_person_has_one(opened, rf):
    api_endpoints.ApiEndpointsMiddleware(SessionMiddleware(lambda request: request))(rf.get("/images/"))
    assert opened == ["/images/"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ADDRESSES)
def test_what_every_answer_has(client, name):
    answer = ask(client, name)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "default-src" in answer["Content-Security-Policy"]
    assert answer["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize("name", ADDRESSES)
def test_another_host_is_refused(name):
    assert ask(Client(SERVER_NAME="elsewhere.example"), name).status_code == 400


def test_who_acts_is_nobody_and_from_where(rf):
    seen = []

    class Middleware(api_endpoints.ApiEndpointsMiddleware):
        _views = {"/token/": lambda _request: seen.append((origin().actor(), origin().address))}

    Middleware(None)(rf.get("/token/", REMOTE_ADDR="192.0.2.7"))
    assert seen == [("anonymous", "192.0.2.7")]
    assert origin().actor() == SYSTEM


@pytest.mark.django_db
def test_what_nobody_has_thought_of_is_said_in_a_sentence(monkeypatch):
    """The page of it needs nothing that this middleware leaves out."""

    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("console.token_server.lookup.find", fail)
    answer = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False).get(reverse("token"))
    assert answer.status_code == 500
    assert b"Something went wrong on our side" in answer.content
