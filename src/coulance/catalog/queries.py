"""Reading the catalog room: the catalog in force, its revisions."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from coulance.catalog.models import PlanVersion, PoolVersion, Revision
from coulance.catalog.sources import Sources
from coulance_core.catalog import terms as core
from coulance_core.catalog.codec import from_json


class UnableToFindCatalogError(LookupError):
    """No provider file was applied yet."""

    def __init__(self) -> None:
        super().__init__("no provider file is applied yet: run coulance apply provider.toml")


class RevisionRow(NamedTuple):
    """An applied revision, without its texts."""

    id: int
    digest: str
    root: str
    actor: str
    applied_at: datetime
    changes: tuple[str, ...]


_cached: tuple[tuple[int, str, datetime], core.Catalog] | None = None


def catalog() -> core.Catalog:
    """The catalog of the newest revision, with every version of every plan and pool that was ever published.

    Kept in the process for as long as that revision is the newest. Raises `UnableToFindCatalogError`.
    """
    global _cached
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, digest, applied_at FROM catalog_revision ORDER BY id DESC LIMIT 1")
        newest = cursor.fetchone()
    if newest is None:
        raise UnableToFindCatalogError
    if _cached is None or _cached[0] != newest:
        _cached = (newest, load_catalog(newest[0]))
    return _cached[1]


def load_catalog(revision: int) -> core.Catalog:
    """The catalog as it was at a revision: its settings, and the versions that were published by then."""
    settings = Revision.objects.values_list("settings", flat=True).get(id=revision)
    plans: dict[str, list[core.PlanVersion]] = {}
    pools: dict[str, list[core.Pool]] = {}
    versions = PlanVersion.objects.filter(revision__lte=revision).order_by("plan", "valid_from")
    for plan, terms in versions.values_list("plan", "terms"):
        plans.setdefault(plan, []).append(_with_texts(from_json(core.PlanVersion, terms), settings["texts"]))
    shared = PoolVersion.objects.filter(revision__lte=revision).order_by("pool", "valid_from")
    for pool, terms in shared.values_list("pool", "terms"):
        pools.setdefault(pool, []).append(_with_texts(from_json(core.Pool, terms), settings["texts"]))
    return core.Catalog(
        provider=from_json(core.ProviderTerms, settings["provider"]),
        meters={key: from_json(core.Meter, meter) for key, meter in settings["meters"].items()},
        plans={key: tuple(own) for key, own in plans.items()},
        pools={key: tuple(own) for key, own in pools.items()},
        tax=from_json(core.TaxTable, settings["tax"]),
        series={key: from_json(core.NumberSeries, series) for key, series in settings["series"].items()},
        # Revisions of earlier versions of the program have none.
        collectors={key: from_json(core.Collector, one) for key, one in settings.get("collectors", {}).items()},
        sending=from_json(core.SendingTerms, settings.get("sending", {})),
        overage=from_json(core.OverageTerms, settings.get("overage", {})),
        advice=from_json(core.AdviceTerms, settings.get("advice", {})),
        goodwill=from_json(core.GoodwillTerms, settings.get("goodwill", {})),
        payments=from_json(core.PaymentTerms, settings.get("payments", {})),
        drivers={key: from_json(core.Driver, one) for key, one in settings.get("drivers", {}).items()},
        tables=settings.get("tables", {}),
    )


_Version = TypeVar("_Version", core.PlanVersion, core.Pool)


def texts_of(version: core.PlanVersion | core.Pool) -> dict[str, Any]:
    """A version's texts, which may be corrected after it is published, unlike its terms."""
    texts: dict[str, Any] = {"name": version.name}
    if isinstance(version, core.PlanVersion):
        texts |= {"description": version.description, "charges": {c.key: c.name for c in version.charges}}
    return texts


def _with_texts(version: _Version, texts: Mapping[str, Mapping[str, Any]]) -> _Version:
    """The version with the texts that the newest file gives it; without any, as it was published."""
    own = texts.get(version.version)
    if own is None:
        return version
    changed: dict[str, Any] = {"name": own["name"]}
    if isinstance(version, core.PlanVersion):
        changed["description"] = own["description"]
        changed["charges"] = tuple(replace(c, name=own["charges"].get(c.key, c.name)) for c in version.charges)
    return replace(version, **changed)


def plans_sold() -> tuple[str, ...]:
    """The plans that the newest revision's files still have; others are history. Empty when nothing is applied."""
    settings = Revision.objects.order_by("-id").values_list("settings", flat=True).first()
    return tuple(settings["sold"]) if settings else ()


def current_revision() -> RevisionRow | None:
    """The newest revision, or none."""
    rows = revisions(most=1)
    return rows[0] if rows else None


def revisions(*, most: int = 100) -> list[RevisionRow]:
    """The newest revisions, newest first."""
    rows = Revision.objects.order_by("-id").values_list("id", "digest", "root", "actor", "applied_at", "changes")
    return [RevisionRow(i, digest, root, actor, at, tuple(said)) for i, digest, root, actor, at, said in rows[:most]]


def overage_terms(at: datetime) -> core.OverageTerms:
    """The terms of overage that were applied by an instant, or else the first ones: a period's are those at its start.

    Raises `UnableToFindCatalogError`.
    """
    rows = Revision.objects.values_list("settings", flat=True)
    found = rows.filter(applied_at__lte=at).order_by("-id").first() or rows.order_by("id").first()
    if found is None:
        raise UnableToFindCatalogError
    return from_json(core.OverageTerms, found.get("overage", {}))


def payment_terms() -> core.PaymentTerms:
    """The terms of payment in force, of the newest revision alone; the usual ones where nothing is applied yet."""
    found = Revision.objects.order_by("-id").values_list("settings__payments", flat=True).first()
    return from_json(core.PaymentTerms, found or {})


def table(name: str, at: datetime | None = None) -> Mapping[str, Any]:
    """A table that another room owns (`arrears`, `disputes`, ...): the newest, or as it was applied by an instant.

    Plain values; empty where there is none.
    """
    rows = Revision.objects.order_by("-id")
    found = (rows if at is None else rows.filter(applied_at__lte=at)).values_list("settings__tables", flat=True).first()
    own: Mapping[str, Any] = (found or {}).get(name, {})
    return own


def sources_of(revision: int) -> Sources:
    """The texts of a revision."""
    texts = Revision.objects.values_list("sources", flat=True).get(id=revision)
    return Sources(tuple((name, text) for name, text in texts))


def published_digests() -> dict[str, str]:
    """The digest of every published version, by its identity."""
    out = {
        f"{plan}@{day.isoformat()}": digest
        for plan, day, digest in PlanVersion.objects.values_list("plan", "valid_from", "digest")
    }
    for pool, day, digest in PoolVersion.objects.values_list("pool", "valid_from", "digest"):
        out[f"pool:{pool}@{day.isoformat()}"] = digest
    return out
