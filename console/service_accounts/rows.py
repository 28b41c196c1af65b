"""Service accounts with what lists show of them."""

from __future__ import annotations

import datetime

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery

from console.accounts.models import AccessToken
from console.membership.models import Grant, ServiceAccount


def with_use(services: QuerySet[ServiceAccount], now: datetime.datetime) -> QuerySet[ServiceAccount]:
    """The service accounts with ``role`` (on the namespace), ``on_images``, ``tokens`` and ``last_used_at``.

    ``tokens`` counts those that work now; ``last_used_at`` is of any of its tokens.
    """
    grants = Grant.objects.current().filter(account=OuterRef("account"))
    tokens = AccessToken.objects.filter(account=OuterRef("account")).order_by().values("account")
    working = tokens.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
    return services.select_related("account__credential", "namespace", "created_by").annotate(
        role=Subquery(grants.filter(image=None).values("role")[:1]),
        on_images=Exists(grants.exclude(image=None)),
        tokens=Subquery(working.annotate(number=Count("pk")).values("number")),
        last_used_at=Subquery(tokens.annotate(last=Max("last_used_at")).values("last")),
    )
