"""The table of rate-limit marks, shared by all processes."""

from django.db import models


class Mark(models.Model):
    """Until when something is remembered of those who try passwords. A row whose time is over says nothing.

    The key is a keyed hash (``guesses.Attempt``): what people type as a user name may be a password, and is not kept.
    """

    key = models.UUIDField(primary_key=True)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} until {self.until:%Y-%m-%d %H:%M:%S}"
