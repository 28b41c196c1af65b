"""What browsers may do with our pages and files. Pure values: the settings and the edge's configuration have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Pages only use our own files: no inline scripts or styles, no eval, no other origins (CSP Level 3).
CONTENT_SECURITY: dict[str, list[str]] = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}
# Browser features: disabled, or only for our own pages.
PERMISSIONS = {
    **dict.fromkeys(("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb"), ""),
    "clipboard-write": "self",
    "publickey-credentials-create": "self",
    "publickey-credentials-get": "self",
}
REFERRER = CROSS_ORIGIN_OPENER = CROSS_ORIGIN_RESOURCE = "same-origin"


def format_csp(policy: Mapping[str, Iterable[str]]) -> str:
    """The value of the Content-Security-Policy header (CSP Level 3, 2.2.1): each directive with its sources."""
    return "; ".join(" ".join([directive, *sources]) for directive, sources in policy.items())


def format_permissions(policy: Mapping[str, str]) -> str:
    """The value of the Permissions-Policy header: each feature with who may use it."""
    return ", ".join(f"{name}=({who})" for name, who in policy.items())
