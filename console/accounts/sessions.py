"""Session engine: Django's database sessions, read with a compiled query.

``SESSION_ENGINE`` names this module; Django loads ``SessionStore`` from it.
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
    """Django's session store with a compiled query; an unknown session does not delete the cookie.

    Against a race: the response to a request sent before a sign-in, but answered after it, would delete the new
    session's cookie.
    """

    # Whether the session key is unknown.
    _is_gone = False

    def is_empty(self) -> bool:
        """Whether the response deletes the session cookie."""
        return super().is_empty() and not self._is_gone

    def flush(self) -> None:
        """End the session and delete its cookie."""
        super().flush()
        self._is_gone = False

    def lock(self) -> SessionStore:
        """Lock the session's row until the end of the transaction, waiting for other transactions.

        :return: the session as read under the lock: empty if it has ended meanwhile; ``self`` if it was never stored.
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
