"""A passkey made of a few lines, which says whatever it is told to. Real ones are in ``test_browser.py``."""

from __future__ import annotations

import hashlib
import json
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData


class Passkey:
    """Of ``host``. What it makes and signs is a browser's answer in JSON."""

    def __init__(self, host="localhost"):
        self.host, self.id = host, secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cose = ES256.from_cryptography_key(self.key.public_key())

    def _answer(self, response, extra):
        key = websafe_encode(self.id)
        shown = {name: websafe_encode(value) for name, value in response.items()} | extra
        return json.dumps({"id": key, "rawId": key, "type": "public-key", "response": shown})

    def _data(self, flags, credential=b""):
        return AuthenticatorData.create(hashlib.sha256(self.host.encode()).digest(), flags, 1, credential)

    def make(self, challenge, origin, cross_origin=False):
        """The answer to being added."""
        client = CollectedClientData.create("webauthn.create", challenge, origin, cross_origin)
        data = self._data(0x45, AttestedCredentialData.create(bytes(16), self.id, self.cose))
        made = AttestationObject.create("none", data, {})
        return self._answer({"clientDataJSON": client, "attestationObject": made}, {})

    def sign(self, challenge, origin, cross_origin=False, owner=b"", flags=0x05):
        """The answer to being asked for; ``owner`` as the page has named them when it was added.

        :param flags: somebody was there (1), and was verified (4).
        """
        client = CollectedClientData.create("webauthn.get", challenge, origin, cross_origin)
        data = self._data(flags)
        signature = self.key.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer(response, {"userHandle": websafe_encode(owner)})
