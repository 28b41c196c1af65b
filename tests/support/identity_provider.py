"""A small OpenID Connect provider: real HTTP and signatures, with errors on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CLIENT, SECRET = "my-images", "the client's secret, of 32 bytes or more"
# Generated once, because it is slow.
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())


def _public(key, algorithm, kid):
    kind = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "alg": algorithm, "use": "sig"}


class Provider:
    """The identity provider. ``person`` signs in; ``spoil`` may change the claims, ``sign`` creates the token."""

    def __init__(self):
        self.reset()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def reset(self):
        self.person = {"sub": "u-1", "name": "Ann Example", "email": "ann@example.com", "email_verified": True}
        self.userinfo = None
        self.algorithm, self.key, self.kid = "RS256", RSA, "rsa"
        self.rsa = "rsa"
        self.spoil = lambda claims: claims
        self.sign = self._sign
        self.config = {}
        self.answers = {}
        self.codes, self.asked, self.fetched = {}, [], []

    def _sign(self, claims):
        return jwt.encode(claims, self.key, self.algorithm, headers={"kid": self.kid})

    def authorize(self, address):
        """The user agrees at the provider; returns the URL that the browser is redirected to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert "openid" in asked["scope"].split()
        assert asked["client_id"] == CLIENT
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _token(self, form, headers):
        asked = self.codes.pop(form.get("code"), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET)
            or asked["code_challenge_method"] != "S256"
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked["code_challenge"]
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        if "max_age" in asked:
            claims["auth_time"] = now
        claims = self.spoil({**claims, **self.person})
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.sign(claims)}

    def answer(self, path, form, headers):
        self.fetched.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                **self.config,
            }
        if path == "/token":
            return self._token(form, headers)
        if path == "/jwks":
            return 200, {"keys": [_public(RSA, "RS256", self.rsa), _public(EC, "ES256", "ec")]}
        if path == "/userinfo" and headers.get("Authorization") == "Bearer at":
            return 200, self.userinfo if self.userinfo is not None else self.person
        return 404, {}

    def _handler(provider):
        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                if urlsplit(self.path).path == "/authorize":  # a real browser
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(self.path))
                    self.end_headers()
                    return
                status, content = provider.answer(urlsplit(self.path).path, form, self.headers)
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer

            def log_message(self, *arguments):
                pass

        return Handler
