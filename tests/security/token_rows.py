"""What the token endpoint grants to whom, for each kind of name that the scope grammar can or cannot write.

``.`` is nothing, ``r`` pull, ``w`` push, ``d`` delete, ``*`` the catalogue's action, ``l`` (where ``*`` is asked) the
readable part of the catalogue, which only the gate lists. A cell is what is granted when all
of them are asked for; each of them is also asked for alone, and then is granted or is not.

A new kind of credential is a column here and a line in ``test_tokens.py``; a new kind of resource is a row.
"""

# own, full, going, moving: the owner's images: private, with no room for tags (the gate refuses only new ones), being
# deleted, changing hands. ``spare``
# is a namespace of the owner's that the access token ``chosen`` was not made for.
GRANTED = """
scope                                     nobody owner refresh pull push delete chosen other staff superuser supertoken

repository:team/app                       .      rwd   rwd     r    rw   rwd    rw     .     .     .         .
repository:team/nested/deep/app           .      rwd   rwd     r    rw   rwd    rw     .     .     .         .
repository:team/open                      r      rwd   rwd     r    rw   rwd    rw     r     r     r         r
repository:team/missing                   .      rwd   rwd     r    rw   rwd    rw     .     .     .         .
repository:team/full                      .      rwd   rwd     r    rw   rwd    rw     .     .     .         .
repository:team/going                     .      .     .       .    .    .      .      .     .     .         .
repository:spare/app                      .      rwd   rwd     r    rw   rwd    .      .     .     .         .
repository:spare/open                     r      rwd   rwd     r    rw   rwd    r      r     r     r         r
repository:spare/missing                  .      rwd   rwd     r    rw   rwd    .      .     .     .         .
repository:moving/app                     .      .     .       .    .    .      .      .     .     .         .
repository:moving/open                    .      .     .       .    .    .      .      .     .     .         .
repository:others/secret                  .      .     .       .    .    .      .      rwd   .     .         .
repository:others/open                    r      r     r       r    r    r      r      rwd   r     r         r
repository:others/going-open              .      .     .       .    .    .      .      .     .     .         .
repository:others/missing                 .      .     .       .    .    .      .      rwd   .     .         .

repository:nowhere/app                    .      .     .       .    .    .      .      .     .     .         .
repository:held/app                       .      .     .       .    .    .      .      .     .     .         .
repository:library/debian                 .      .     .       .    .    .      .      .     .     .         .
repository:admin/app                      .      .     .       .    .    .      .      .     .     .         .
repository:team                           .      .     .       .    .    .      .      .     .     .         .
repository:app                            .      .     .       .    .    .      .      .     .     .         .
repository:catalog                        .      .     .       .    .    .      .      .     .     .         .
repository:localhost:5000/team/app        .      .     .       .    .    .      .      .     .     .         .
repository:example.com/team/app           .      .     .       .    .    .      .      .     .     .         .

registry:catalog                          .      l     l       l    l    l      .      l     l     *         l
registry:team/app                         .      .     .       .    .    .      .      .     .     .         .
registry:other                            .      .     .       .    .    .      .      .     .     .         .
registry(plugin):catalog                  .      .     .       .    .    .      .      .     .     .         .
repository(plugin):team/app               .      .     .       .    .    .      .      .     .     .         .
repository(image):team/app                .      .     .       .    .    .      .      .     .     .         .
plugin:team/app                           .      .     .       .    .    .      .      .     .     .         .
catalog:team/app                          .      .     .       .    .    .      .      .     .     .         .

repository:*                              .      .     .       .    .    .      .      .     .     .         .
repository:team/*                         .      .     .       .    .    .      .      .     .     .         .
repository:*/app                          .      .     .       .    .    .      .      .     .     .         .
*:team/app                                .      .     .       .    .    .      .      .     .     .         .
repository:                               .      .     .       .    .    .      .      .     .     .         .
repository:team/                          .      .     .       .    .    .      .      .     .     .         .
repository:/team/app                      .      .     .       .    .    .      .      .     .     .         .
repository:team//app                      .      .     .       .    .    .      .      .     .     .         .
repository:Team/app                       .      .     .       .    .    .      .      .     .     .         .
repository:team/App                       .      .     .       .    .    .      .      .     .     .         .
REPOSITORY:team/app                       .      .     .       .    .    .      .      .     .     .         .
repository:team/../others/secret          .      .     .       .    .    .      .      .     .     .         .
repository:team/./app                     .      .     .       .    .    .      .      .     .     .         .
repository:../team/app                    .      .     .       .    .    .      .      .     .     .         .
repository:team%2Fapp                     .      .     .       .    .    .      .      .     .     .         .
repository:team/app%2F..%2Fopen           .      .     .       .    .    .      .      .     .     .         .
repository:team\\app                      .      .     .       .    .    .      .      .     .     .         .
repository:team/app;others/secret         .      .     .       .    .    .      .      .     .     .         .
repository:team/app\x00                   .      .     .       .    .    .      .      .     .     .         .
repository:team/аpp                       .      .     .       .    .    .      .      .     .     .         .
"""
# For the cache of Docker Hub: official images, to pull, for everybody whose service is activated.
GRANTED_AT_THE_HUB = """
scope                                     nobody owner refresh pull push delete chosen other staff superuser supertoken

repository:library/debian                 .      r     r       r    r    r      r      r     r     r         r
repository:library/none-of-that-name      .      r     r       r    r    r      r      r     r     r         r
repository:library/nested/debian          .      .     .       .    .    .      .      .     .     .         .
repository:library                        .      .     .       .    .    .      .      .     .     .         .
repository:team/app                       .      .     .       .    .    .      .      .     .     .         .
repository:team/open                      .      .     .       .    .    .      .      .     .     .         .
repository:bitnami/redis                  .      .     .       .    .    .      .      .     .     .         .
repository:library/Debian                 .      .     .       .    .    .      .      .     .     .         .
repository:library/../team/app            .      .     .       .    .    .      .      .     .     .         .
repository(plugin):library/debian         .      .     .       .    .    .      .      .     .     .         .
registry:catalog                          .      .     .       .    .    .      .      .     .     .         .
"""
# Who is refused, with the same sentence, whatever is asked for.
REFUSED = """
a wrong password
the console password
an access token of another account
an access token that is expired
an access token that is revoked
an access token that is one letter off
a refresh token as a password
nobody of that name
not activated, with the console password
activation begun and not ended
deactivated
deactivated, with an access token
no password
"""
# The same for refresh tokens.
REFUSED_REFRESH_TOKENS = """
nothing
nonsense
one letter off
revoked
from before the password changed
deactivated
an access token
"""


def table(text: str) -> dict[str, dict[str, str]]:
    """For each scope, for each credential: the letters of what is granted."""
    head, *rows = (line.split() for line in text.strip().split("\n") if line)
    assert all(len(row) == len(head) for row in rows), [row for row in rows if len(row) != len(head)]
    return {scope: dict(zip(head[1:], cells, strict=True)) for scope, *cells in rows}


def lines(text: str) -> list[str]:
    """One text a line."""
    return text.strip().split("\n")
