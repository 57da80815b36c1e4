"""When services were suspended by arrears, and when wrongly. Exported by `queries`."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from coulance.arrears import models
from coulance_core.arrears import Act
from coulance_core.kernel import Period

FAR = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


def suspended_spans(services: Iterable[int]) -> dict[int, list[Period]]:
    """When these services (row ids) were suspended by arrears: [from, until); one that lasts ends at the last instant
    there is. For what a base fee is charged."""
    rows = models.Act.objects.filter(
        service__in=list(services), act__in=[Act.SUSPEND.value, Act.TERMINATE.value, Act.DELETE.value], observed=False
    )
    out: dict[int, list[Period]] = {}
    for service, since, until in rows.order_by("at").values_list("service_id", "at", "undone_at"):
        end = until or FAR
        if end > since:
            out.setdefault(service, []).append(Period(since, end))
    return out


def wrongful(services: Sequence[int]) -> dict[int, list[tuple[datetime, datetime | None]]]:
    """When these services (row ids) were restricted and should not have been; without an end it lasts."""
    rows = models.Act.objects.filter(
        service__in=list(services), wrongful_since__isnull=False, restriction__isnull=False
    )
    out: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for service, since, until in rows.order_by("at").values_list("service_id", "wrongful_since", "undone_at"):
        assert since is not None
        out.setdefault(service, []).append((since, until))
    return out
