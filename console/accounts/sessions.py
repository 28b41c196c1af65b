"""Sessions, kept in the database by Django, and read with a query that is not made anew for each page.

Named by ``SESSION_ENGINE``; Django asks for this module's ``SessionStore``.
"""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from console.database.compiled import Compiled


@Compiled
def _sessions(key: str) -> QuerySet[Session]:
    return Session.objects.filter(session_key=key)


class SessionStore(db.SessionStore):
    """Django's, but for how it finds a session, and that one that is gone takes no cookie away.

    Its browser may have another one's by then: a request that was sent before somebody signed in, and is answered after
    that, would sign them out.
    """

    # Whether it was asked for by a key that is nobody's.
    _is_gone = False

    def is_empty(self) -> bool:
        """Whether the browser's cookie is to be removed."""
        return super().is_empty() and not self._is_gone

    def flush(self) -> None:
        """End the session; its cookie goes, too."""
        super().flush()
        self._is_gone = False

    def lock(self) -> SessionStore:
        """Wait until no other transaction holds this session, and hold it to the end of this one.

        :return: the session as it is by then: empty when it has ended meanwhile; this one when it never was stored.
        """
        key = self.session_key
        if key is None:
            return self
        list(Session.objects.select_for_update().filter(session_key=key).values_list("pk"))
        return SessionStore(key)

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        for session in _sessions(key) if key.isalnum() else ():
            if session.expire_date > timezone.now():
                return session
        self._session_key, self._is_gone = None, bool(key)
        return None
