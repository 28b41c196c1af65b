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
    """Django's, but for how it finds a session."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        for session in _sessions(key) if key.isalnum() else ():
            if session.expire_date > timezone.now():
                return session
        self._session_key = None
        return None
