"""The public status page: a page, a feed, and the same for programs. Everybody sees the same; caches may keep it."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import wraps
from typing import Any
from xml.sax.saxutils import escape

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from coulance.catalog import queries as catalog
from coulance.flows import letters
from coulance.flows.promises import public
from coulance.platform import clock

KEPT_S = 60


def _status() -> dict[str, Any]:
    """What is shown, for a minute the same: many may ask when something is down."""
    found: dict[str, Any] | None = cache.get("sla-status")
    if found is None:
        at = clock.now()
        found = {
            "at": at.isoformat(),
            "groups": [
                {"name": group, "services": [_service(one) for one in rows]} for group, rows in public.status(at=at)
            ],
        }
        cache.set("sla-status", found, KEPT_S)
    return found


def _service(one: public.PublicService) -> dict[str, Any]:
    return {
        "name": one.label,
        "state": {True: "up", False: "down", None: "unknown"}[one.up],
        "percent": one.percent,
        "outages": [_outage(row) for row in one.outages],
        "maintenance": [_outage(row) for row in one.maintenance],
    }


def _outage(row: public.PublicOutage) -> dict[str, Any]:
    until = row.until.isoformat() if row.until else None
    return {"since": row.since.isoformat(), "until": until, "words": row.words}


def for_all(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A view that neither reads nor sets a cookie, so that caches may keep it for everybody."""

    @wraps(view)
    def open_(request: HttpRequest) -> HttpResponse:
        with translation.override(translation.get_supported_language_variant(_language(request))):
            return view(request)

    open_.for_customers = False  # type: ignore[attr-defined]
    return open_


def _language(request: HttpRequest) -> str:
    wanted = request.headers.get("Accept-Language", "").lower().split(",")
    return "nl" if wanted[0].startswith("nl") else "en"


def _kept(answer: HttpResponse) -> HttpResponse:
    answer.headers["Cache-Control"] = f"public, max-age={KEPT_S}"
    return answer


@for_all
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """For people. In the browser's language, so that caches keep one a language."""
    found = _status()
    states = [one["state"] for group in found["groups"] for one in group["services"]]
    answer = render(
        request,
        "portal/status.html",
        {
            "groups": found["groups"],
            "down": states.count("down"),
            "some": bool(states),
            "language": translation.get_language(),
            "seller": _seller(),
        },
    )
    answer.headers["Vary"] = "Accept-Language"
    return _kept(answer)


@for_all
@require_safe
def as_json(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view takes it
    """For programs."""
    answer = JsonResponse(_status())
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return _kept(answer)


@for_all
@require_safe
def as_rss(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view takes it
    """For readers of feeds: an item an outage, changed when it ends."""
    found = _status()
    link = f"{letters.base()}/status"
    items = []
    for group in found["groups"]:
        for one in group["services"]:
            for row in one["outages"]:
                since = datetime.fromisoformat(row["since"])
                ended = f"until {row['until'][:19]} UTC" if row["until"] else "it goes on"
                items.append((since, f"{group['name']}: {one['name']} down", f"{ended}. {row['words']}".strip()))
    items.sort(key=lambda item: item[0], reverse=True)
    body = "".join(
        f"<item><title>{escape(title)}</title><description>{escape(said)}</description><link>{escape(link)}</link>"
        f'<guid isPermaLink="false">{escape(f"{title}/{since.isoformat()}/{said[:2]}")}</guid>'
        f"<pubDate>{format_datetime(since.astimezone(UTC))}</pubDate></item>"
        for since, title, said in items[:100]
    )
    name = escape(_seller())
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
        f"<title>{name}</title><link>{escape(link)}</link><description>{name}</description>{body}</channel></rss>"
    )
    return _kept(HttpResponse(text, content_type="application/rss+xml; charset=utf-8"))


def _seller() -> str:
    try:
        return catalog.catalog().provider.name
    except catalog.UnableToFindCatalogError:
        return "Coulance"
