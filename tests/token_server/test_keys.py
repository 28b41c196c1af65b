"""Which keys there are, and which of them signs."""

import base64
import itertools
import stat
import threading

import jwt
import pytest
from cryptography import x509
from django.core.management import CommandError, call_command

from console.audit.models import AuditEvent
from console.installation import keys
from console.registry.signing import sign
from console.token_server import rotation


@pytest.fixture
def made(tmp_path, settings):
    settings.KEYS = keys.ensure_keys(tmp_path)
    return settings.KEYS


def trusted(made):
    return x509.load_pem_x509_certificates(made.token_certificate.read_bytes())


def certificate(path):
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def signs(made):
    """The certificate of whoever signs."""
    return jwt.get_unverified_header(sign("ann", []).text)["x5c"][0]


def test_two_are_trusted_from_the_beginning(made):
    assert trusted(made) == [certificate(made.token_key), certificate(made.next_token_key)]


def test_of_an_installation_from_before(tmp_path):
    """It has one key and its certificate, and goes on with them."""
    first = keys.ensure_keys(tmp_path)
    old, old_key = certificate(first.token_key), first.token_key.read_bytes()
    first.next_token_key.unlink()
    first.token_certificate.write_bytes(old_key[old_key.index(b"-----BEGIN CERTIFICATE") :])
    again = keys.ensure_keys(tmp_path)
    assert again.token_key.read_bytes() == old_key
    assert trusted(again) == [old, certificate(again.next_token_key)]


def test_the_next_one_signs_and_the_former_is_trusted_for_a_while(made, monkeypatch):
    former, following = certificate(made.token_key), certificate(made.next_token_key)
    old_text = made.token_key.read_bytes()
    end = keys.rotate(made, 60)
    assert certificate(made.token_key) == following
    assert trusted(made) == [following, certificate(made.next_token_key), former]
    assert keys.retires_at(made) == end
    assert not keys.renew_bundle(made), "its time has not come"
    private = old_text[: old_text.index(b"-----BEGIN CERTIFICATE")]
    for path in made.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert private not in path.read_bytes(), "nobody needs the former key itself"
    monkeypatch.setattr(keys.time, "time", lambda: end + 1)
    assert keys.renew_bundle(made)
    assert trusted(made) == [following, certificate(made.next_token_key)]
    assert keys.retires_at(made) is None


def test_every_moment_of_it_leaves_the_signing_key_trusted(made, monkeypatch):
    """Killed after any of its steps, and mended by the next start."""

    class Killed(BaseException):
        pass

    steps = ["create_file", "_new_signing_pair", "replace_file", "_renew_bundle"]
    for name in steps:
        real = getattr(keys, name)

        def killed(*arguments, real=real):
            real(*arguments)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(keys, name, killed)
            with pytest.raises(Killed):
                keys.rotate(made, 60)
        assert certificate(made.token_key) in trusted(made), name
        again = keys.ensure_keys(made.folder.parent)
        keys.renew_bundle(again)
        assert {certificate(again.token_key), certificate(again.next_token_key)} <= set(trusted(again))


def test_a_process_sees_the_new_key_at_once(made):
    before = signs(made)
    assert signs(made) == before
    keys.rotate(made, 60)
    assert signs(made) != before


def test_many_rotate_and_sign_at_once(made):
    """Whoever signs meanwhile signs with a key that is trusted, and never with half a one."""
    problems, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            try:
                header = jwt.get_unverified_header(sign("ann", []).text)
                seen = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
                if seen not in trusted(made):
                    problems.append("not trusted")
            except Exception as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        keys.rotate(made, 60)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_keys_that_vanish_stop_nobody(made):
    before = signs(made)
    made.token_key.rename(made.folder / "elsewhere")
    assert signs(made) == before


@pytest.mark.parametrize("curve", ["P-384", None])
def test_a_key_of_another_kind(made, curve):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = ec.generate_private_key(ec.SECP384R1()) if curve else rsa.generate_private_key(65537, 2048)
    made.token_key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(TypeError, match="no P-256 elliptic curve key"):
        sign("ann", [])


@pytest.mark.django_db
class TestCommand:
    @pytest.fixture
    def answers(self, monkeypatch):
        """What each registry says of the next key, by its address; ``True`` unless set."""
        said = {}
        monkeypatch.setattr(rotation, "trusts", lambda registry, key: said.get(registry.url, True))
        return said

    def refused(self, *arguments):
        with pytest.raises(CommandError) as caught:
            call_command("rotate_signing_key", *arguments)
        return str(caught.value)

    def test_it_rotates(self, made, answers, settings):
        settings.DOCKERHUB_URL = "http://the-cache"
        answers["http://the-cache"] = None  # it is not running, and reads them when it starts
        former = certificate(made.token_key)
        call_command("rotate_signing_key")
        assert certificate(made.token_key) != former
        assert former in trusted(made)
        assert AuditEvent.objects.get().action == "signing_key.rotate"
        assert "are valid until" in self.refused("--retire")

    def test_not_when_a_registry_would_refuse_it(self, made, answers, settings):
        former = made.token_key.read_bytes()
        for url in {settings.REGISTRY_URL, settings.CONSOLE_REGISTRY_URL, settings.DOCKERHUB_URL}:
            answers[url] = False
            assert f"The registry at {url} has not read the next key yet" in self.refused()
            del answers[url]
        settings.REGISTRY_IS_OURS = False
        answers[settings.REGISTRY_URL] = False
        assert "where its rootcertbundle is" in self.refused()
        answers[settings.REGISTRY_URL] = None
        assert "does not answer; nothing was changed" in self.refused()
        assert made.token_key.read_bytes() == former
        assert not AuditEvent.objects.exists()

    def test_retiring_where_nothing_runs(self, made, answers, settings, capsys, monkeypatch):
        monkeypatch.setattr(rotation, "trusts", lambda registry, key: None)
        call_command("rotate_signing_key")
        end = keys.retires_at(made)
        monkeypatch.setattr(keys.time, "time", lambda: end + 1)
        settings.REGISTRY_IS_OURS = False
        call_command("rotate_signing_key", "--retire")
        said = capsys.readouterr().out
        assert "from their next start on" in said
        assert f"Copy {made.token_certificate} to the registry" in said
        assert len(trusted(made)) == 2
        assert not settings.ENVIRONMENT.restart_request.exists()

    def test_registries_that_are_not_started_again(self, made, answers, settings, monkeypatch):
        settings.ENVIRONMENT.restart_request.parent.mkdir(exist_ok=True)
        moments = itertools.count(step=20)
        monkeypatch.setattr(rotation.time, "monotonic", lambda: next(moments))
        with pytest.raises(rotation.NotNow, match="stop My Images and start it again"):
            rotation.retire(wait=lambda seconds: None)
        assert not settings.ENVIRONMENT.restart_request.exists()


def test_what_a_registry_says_of_a_key(registry_server, live_server, settings, tmp_path):
    own = rotation.Registry(settings.REGISTRY_URL, settings.REGISTRY_SERVICE, True)
    assert rotation.trusts(own, settings.KEYS.token_key)
    assert rotation.trusts(own, settings.KEYS.next_token_key), "before anything is signed with it"
    assert rotation.trusts(own, keys.ensure_keys(tmp_path).token_key) is False
    away = rotation.Registry("http://127.0.0.1:9", settings.REGISTRY_SERVICE, True)
    assert rotation.trusts(away, settings.KEYS.token_key) is None
    # Something that is no registry, here the console, listens in its place.
    page = rotation.Registry(live_server.url, settings.REGISTRY_SERVICE, True)
    with pytest.raises(rotation.NotNow, match="gave an unexpected answer"):
        rotation.trusts(page, settings.KEYS.token_key)
