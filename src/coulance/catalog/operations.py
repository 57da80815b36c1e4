"""Writing the catalog room: comparing a provider file with what is applied, and applying it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from coulance.catalog import queries
from coulance.catalog.faults import Fault
from coulance.catalog.models import PlanVersion, PoolVersion, Revision
from coulance.catalog.proposal import Proposal, identity_digest, propose_changes
from coulance.catalog.reader import ProviderFile
from coulance.platform import audit
from coulance.platform.db import advisory_lock
from coulance_core.catalog import terms as core
from coulance_core.catalog.codec import to_json


class UnableToApplyCatalogError(ValueError):
    """The file has faults, or would change what is published. `faults` has them all; nothing was changed."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        shown = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the provider file is not applied, for {len(faults)} reason(s):\n{shown}")


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: the revision in force now, whether it is new, and what changed, one sentence each."""

    revision: int
    changed: bool
    changes: tuple[str, ...]


def propose(
    *, file: ProviderFile, closed_until: date | None = None, plans_in_use: Mapping[str, int] | None = None
) -> Proposal:
    """What applying `file` would do. Reads only; `apply_catalog` decides by the same function.

    `closed_until` is the first day that no closed period covers, and `plans_in_use` counts services by plan: facts of
    rooms above, so the caller brings them.
    """
    current = queries.current_revision()
    return propose_changes(
        file,
        applied=queries.catalog() if current else None,
        sold=queries.plans_sold(),
        published=queries.published_digests(),
        same_texts=current is not None and current.digest == file.sources.digest,
        closed_until=closed_until,
        plans_in_use=plans_in_use or {},
    )


def apply_catalog(
    *,
    file: ProviderFile,
    actor: str,
    at: datetime,
    closed_until: date | None = None,
    plans_in_use: Mapping[str, int] | None = None,
) -> Applied:
    """Make a provider file the one in force: all of it, or nothing. The same file again changes nothing.

    Two at once take turns, and the second is compared with what the first applied. Raises
    `UnableToApplyCatalogError` with every fault.
    """
    with transaction.atomic():
        advisory_lock("catalog", "apply")
        proposal = propose(file=file, closed_until=closed_until, plans_in_use=plans_in_use)
        if proposal.faults or file.catalog is None:
            raise UnableToApplyCatalogError(proposal.faults)
        if proposal.nothing_to_do:
            current = queries.current_revision()
            assert current is not None
            return Applied(current.id, False, ())
        changes = tuple(str(change) for change in proposal.changes)
        revision = Revision.objects.create(
            digest=file.sources.digest,
            root=file.sources.root,
            sources=[list(pair) for pair in file.sources.texts],
            settings=_settings(file.catalog),
            actor=actor,
            applied_at=at,
            changes=list(changes),
        )
        PlanVersion.objects.bulk_create(
            PlanVersion(
                revision=revision,
                plan=version.plan,
                valid_from=version.valid_from,
                digest=identity_digest(version),
                terms=to_json(version),
            )
            for version in proposal.versions
            if isinstance(version, core.PlanVersion)
        )
        PoolVersion.objects.bulk_create(
            PoolVersion(
                revision=revision,
                pool=version.key,
                valid_from=version.valid_from,
                digest=identity_digest(version),
                terms=to_json(version),
            )
            for version in proposal.versions
            if isinstance(version, core.Pool)
        )
        audit.record(
            actor=actor,
            act="catalog.applied",
            subject=f"catalog:{revision.id}",
            at=at,
            detail={"digest": revision.digest, "changes": len(changes)},
        )
        queries.load_catalog(revision.id)  # what was written reads back whole, history included, or all is undone
        return Applied(revision.id, True, changes)


def _settings(catalog: core.Catalog) -> dict[str, object]:
    versions = [v for table in (catalog.plans, catalog.pools) for own in table.values() for v in own]
    return {
        "provider": to_json(catalog.provider),
        "meters": {key: to_json(meter) for key, meter in catalog.meters.items()},
        "tax": to_json(catalog.tax),
        "series": {key: to_json(series) for key, series in catalog.series.items()},
        "collectors": {key: to_json(collector) for key, collector in catalog.collectors.items()},
        "drivers": {key: to_json(driver) for key, driver in catalog.drivers.items()},
        "sending": to_json(catalog.sending),
        "overage": to_json(catalog.overage),
        "advice": to_json(catalog.advice),
        "goodwill": to_json(catalog.goodwill),
        "payments": to_json(catalog.payments),
        "tables": dict(catalog.tables),
        "sold": sorted(catalog.plans),
        "texts": {version.version: queries.texts_of(version) for version in versions},
    }
