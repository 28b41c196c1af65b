"""The table of rate-limit marks, shared by all processes."""

from django.db import models


class Mark(models.Model):
    """State of one rate limit (generic cell rate algorithm): a time that each counted event advances. May be expired.

    The key is a keyed hash (``guesses.Attempt``): what people type as a user name may be a password, and is not stored.
    """

    key = models.UUIDField(primary_key=True)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} until {self.until:%Y-%m-%d %H:%M:%S}"
