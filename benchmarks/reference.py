"""References for the token endpoint: the product's URLs, and two more views on the same server.

``constant`` measures only the server and the middleware of pages; as ``early`` it is served like the endpoint, before
most middleware. ``naive`` is a simple implementation of the endpoint without any caches.
"""

from __future__ import annotations

import base64
import datetime
import functools
import uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from benchmarks import FOLDER
from console.accounts.models import RegistryCredential
from console.repositories.models import Image
from console.urls import handler400, handler403, handler404, handler500
from console.urls import urlpatterns as product

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

EARLY = "reference-early"
# The response of ``constant``: a stored response of the token endpoint.
ANSWER = FOLDER / "reference-answer.json"


@functools.cache
def _answer() -> bytes:
    return ANSWER.read_bytes()


def constant(request: HttpRequest) -> HttpResponse:
    """A constant response."""
    return HttpResponse(_answer(), content_type="application/json", headers={"Cache-Control": "no-store"})


def naive(request: HttpRequest) -> HttpResponse:
    """A token for one scope of an own image, requested with ``Basic`` credentials."""
    encoded = request.headers.get("Authorization", "").removeprefix("Basic ")
    username, _, password = base64.b64decode(encoded).decode().partition(":")
    credential = RegistryCredential.objects.filter(username=username).first()
    if credential is None or not check_password(password, credential.password):
        return JsonResponse({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
    account = credential.account
    kind, repository, actions = request.GET["scope"].split(":")
    namespace, _, name = repository.partition("/")
    image = Image.objects.filter(namespace__name=namespace, name=name).first()
    access = []
    if account.is_active and image is not None and image.namespace.owner == account:
        access = [{"type": kind, "name": repository, "actions": sorted(actions.split(","))}]
    pem = settings.KEYS.token_key.read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    chain = [
        base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        for certificate in x509.load_pem_x509_certificates(pem)
    ]
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    moment = int(now.timestamp())
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "sub": username,
        "aud": request.GET["service"],
        "iat": moment,
        "nbf": moment,
        "exp": moment + settings.TOKEN_SECONDS,
        "jti": uuid.uuid4().hex,
        "access": access,
    }
    token = jwt.encode(claims, key, algorithm="ES256", headers={"x5c": chain})
    return JsonResponse(
        {
            "token": token,
            "access_token": token,
            "expires_in": settings.TOKEN_SECONDS,
            "issued_at": now.isoformat().replace("+00:00", "Z"),
        },
        headers={"Cache-Control": "no-store"},
    )


urlpatterns = [
    *product,
    path("reference/constant/", constant),
    path("reference/early/", constant, name=EARLY),
    path("reference/naive/", naive),
]
