"""Template tag for an audit event in words."""

from __future__ import annotations

from django import template

from console.accounts.event_words import in_words
from console.audit.models import AuditEvent

register = template.Library()


@register.simple_tag
def event_sentence(event: AuditEvent) -> str:
    """Who did what to what; one query for the names of the accounts in it."""
    (words,) = in_words([event])
    return " ".join(filter(None, [words.who, words.words or words.action, words.target]))
