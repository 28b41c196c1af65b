"""Send token requests, and read the responses."""

import base64

import jwt
from cryptography import x509
from django.conf import settings

from console.access.grants import registry_grants
from console.token_server import lookup
from console.token_server.token_request import Password, TokenRequest


class Asker:
    """The Django client, used like a registry client."""

    def __init__(self, client):
        self.client = client

    def get(self, *scopes, user=None, password=None, authorization=None, **parameters):
        if user is not None:
            authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": authorization} if authorization is not None else {}
        query = {"service": settings.REGISTRY_SERVICE, "scope": list(scopes), **parameters}
        return self.client.get("/token/", {name: value for name, value in query.items() if value}, headers=headers)

    def post(self, *scopes, **form):
        form = {"service": settings.REGISTRY_SERVICE, "client_id": "test", "scope": " ".join(scopes), **form}
        return self.client.post("/token/", {name: value for name, value in form.items() if value})


def read(token, service=""):
    """The claims of a token, verified like the registry does, with the certificate chain in ``x5c``.

    ``service`` is the expected audience; the installation's own registry by default.
    """
    chain = jwt.get_unverified_header(token)["x5c"]
    trusted = x509.load_pem_x509_certificate(settings.KEYS.token_certificate.read_bytes())
    leaf = x509.load_der_x509_certificate(base64.b64decode(chain[0]))
    assert leaf == trusted
    return jwt.decode(
        token,
        leaf.public_key(),
        algorithms=["ES256"],
        audience=service or settings.REGISTRY_SERVICE,
        issuer=settings.TOKEN_ISSUER,
        options={"require": ["exp", "nbf", "iat", "jti", "sub"]},
    )


def granted(response, service=""):
    """The scopes granted in a response, as ``{(type, name): {actions}}``."""
    assert response.status_code == 200, response.content
    return {
        (entry["type"], entry["name"]): set(entry["actions"])
        for entry in read(response.json()["access_token"], service)["access"]
    }


def look_up(asked, credentials=None):
    """The facts that the token endpoint reads for a request with these scopes and credentials."""
    return lookup.find(TokenRequest(settings.REGISTRY_SERVICE, tuple(asked), credentials, None))


def grants(account, asked):
    """The scopes that the rules grant an account (``None``: anonymous)."""
    credential = account.registry_credential if account else None
    found = look_up(asked, Password(credential.username, "") if credential else None)
    return registry_grants(found.caller, asked, found.repositories)
