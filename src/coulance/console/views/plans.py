"""Plans: every version with its prices in words, from when it holds, and how many services are on it."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance.services import listing as services
from coulance_core.rating.words import plan_words, pool_words


@operators_only(Permission.SEE)
@require_GET
def plan_list(request: HttpRequest) -> HttpResponse:
    """The plans that are sold, those that only history has, and pools."""
    try:
        terms = catalog.catalog()
    except catalog.UnableToFindCatalogError:
        return render(request, "console/plans.html", {"here": "plans", "missing": True})
    today = clock.now().astimezone(terms.provider.zone_info).date()
    counts = services.count_by_plan(on=today)
    sold = set(catalog.plans_sold())
    rows = []
    for key, versions in sorted(terms.plans.items()):
        held = [version for version in versions if version.valid_from <= today]
        now = held[-1] if held else versions[0]
        rows.append(
            {
                "key": key,
                "now": now,
                "words": plan_words(now),
                "services": counts.get(key, 0),
                "versions": len(versions),
                "coming": [version for version in versions if version.valid_from > today and version is not now],
                "sold": key in sold,
            }
        )
    return render(
        request,
        "console/plans.html",
        {
            "here": "plans",
            "plans": [row for row in rows if row["sold"]],
            "old": [row for row in rows if not row["sold"]],
            "pools": [(versions[-1], pool_words(versions[-1])) for _, versions in sorted(terms.pools.items())],
            "revision": catalog.current_revision(),
        },
    )


@operators_only(Permission.SEE)
@require_GET
def plan_detail(request: HttpRequest, plan: str) -> HttpResponse:
    """One plan: its versions, newest first, and the revisions of the provider file."""
    try:
        terms = catalog.catalog()
    except catalog.UnableToFindCatalogError as fault:
        raise Http404(str(fault)) from fault
    if plan not in terms.plans:
        raise Http404(f"no plan {plan!r}")
    today = clock.now().astimezone(terms.provider.zone_info).date()
    versions = sorted(terms.plans[plan], key=lambda version: version.valid_from, reverse=True)
    held = [version for version in versions if version.valid_from <= today]
    return render(
        request,
        "console/plan.html",
        {
            "here": "plans",
            "plan": held[0] if held else versions[0],
            "versions": [(version, plan_words(version), version.valid_from > today) for version in versions],
            "now": held[0].version if held else "",
            "services": services.count_by_plan(on=today).get(plan, 0),
            "sold": plan in catalog.plans_sold(),
            "revisions": catalog.revisions(most=20),
        },
    )
