"""The certificate of the installation's own authority: for everybody, and no secret."""

import hashlib
import re
import ssl

import pytest
from django.utils.html import escape

from console.help.documents import CERTIFICATE, help_pages
from tests.local.test_site import write_certificate
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

PAGE, FILE = "/help/certificate/", "/help/certificate/ca.crt"


@pytest.fixture
def authority(settings, tmp_path):
    """The authority's certificate, with its key in the same file, as nobody should have it."""
    certificate, key = write_certificate(tmp_path)
    pem = certificate.read_text()
    certificate.write_text(key.read_text() + pem)
    settings.AUTHORITY_CERTIFICATE = certificate
    settings.REGISTRY_ADDRESS = "images.example.com:8443"
    settings.CONSOLE_URL = "https://images.example.com:8443"
    return pem


def test_the_file_is_the_certificate_alone(client, authority):
    response = client.get(FILE)
    assert response.status_code == 200
    assert response.content.decode() == authority
    assert response["Content-Type"] == "application/x-x509-ca-cert"
    assert response["Content-Disposition"] == 'attachment; filename="my-images-ca.crt"'


def test_the_page_is_for_everybody(client, authority):
    text = client.get(PAGE).content.decode()
    assert "<h1>Trust the certificate</h1>" in text
    commands = re.findall(r'data-copy="([^"]*)"', text)
    checksum = hashlib.sha256(authority.encode()).hexdigest()
    assert escape(f'{checksum}  my-images-ca.crt" | sha256sum --check') in commands[0]
    assert f"--output my-images-ca.crt https://images.example.com:8443{FILE} " in commands[0]
    docker = "sudo install -D --mode=644 my-images-ca.crt /etc/docker/certs.d/images.example.com:8443/ca.crt"
    assert docker in commands
    der = ssl.PEM_cert_to_DER_cert(authority)
    assert hashlib.sha256(der).digest().hex(":").upper() in text
    assert "{{" not in text
    assert 'class="sidebar"' not in text


def test_with_the_sidebar_for_who_is_signed_in(client, authority, ann):
    client.force_login(ann)
    text = text_of(client.get(PAGE))
    assert "<h1>Trust the certificate</h1>" in text
    assert 'class="sidebar"' in text
    assert f'href="{PAGE}"' in text_of(client.get("/help/"))
    assert f'href="{PAGE}' in text_of(client.get("/help/?q=ca.crt"))


def test_where_there_is_none(client, ann, settings, tmp_path):
    for path in (None, tmp_path / "not-made-yet.crt"):
        settings.AUTHORITY_CERTIFICATE = path
        assert client.get(PAGE).status_code == 404
        assert client.get(FILE).status_code == 404
    settings.AUTHORITY_CERTIFICATE = None
    assert CERTIFICATE not in {page.name for page in help_pages(administration=False)}
    client.force_login(ann)
    assert PAGE not in text_of(client.get("/help/"))
    assert PAGE not in text_of(client.get("/help/?q=ca.crt"))
