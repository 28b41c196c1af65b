import pytest

from registry_client.challenges import Challenge, parse_challenges

BEARER = {"realm": "https://auth.example/token", "service": "registry", "scope": "repository:a/b:pull,push"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push"',
            [("bearer", BEARER)],
        ),
        (
            'bearer scope="repository:a/b:pull,push" ,  SERVICE=registry,Realm = "https://auth.example/token"',
            [("bearer", BEARER)],
        ),
        ('Basic realm="a \\"quoted\\" \\\\ realm"', [("basic", {"realm": 'a "quoted" \\ realm'})]),
        ('Basic realm="a, Bearer realm=b"', [("basic", {"realm": "a, Bearer realm=b"})]),
        (
            'Basic realm="x", Bearer realm="y",service=z',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})],
        ),
        ("Negotiate, Basic", [("negotiate", {}), ("basic", {})]),
        ("Negotiate YWJj==, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Basic", [("basic", {})]),
        (', ,Basic realm="x",,', [("basic", {"realm": "x"})]),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
        ('Bearer realm=""', [("bearer", {"realm": ""})]),
        ("", []),
        ('realm="x"', []),
        ('Bearer realm="unfinished', [("bearer", {})]),
        ('Bearer service=a, realm="unfinished', [("bearer", {"service": "a"})]),
        ('Bearer realm="a"service="b"', [("bearer", {})]),
    ],
)
def test_it_is_read(header, expected):
    assert parse_challenges(header) == [Challenge(scheme, parameters) for scheme, parameters in expected]


@pytest.mark.parametrize(
    "piece", ["Bearer ", 'a="', 'a="\\', "a=", "==", ", ", "a=b,", '"', "\x00", "Basic abc=", " \t"]
)
def test_what_is_malformed_ends_the_reading(piece):
    """However long it is: a reader that tried each length anew would not come to its end."""
    for text in (piece * 5000, "Bearer " + piece * 5000, 'Bearer realm="x",' + piece * 5000):
        assert len(parse_challenges(text)) <= 5000
