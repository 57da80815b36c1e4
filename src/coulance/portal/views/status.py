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
        "maintenance": [_outage(row) | {"announced": row.announced.isoformat()} for row in one.maintenance],
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
    """For readers of feeds (RSS 2.0): an item an outage, told again when it ends, and one for planned work."""
    found = _status()
    link = f"{letters.base()}/status"
    items = []
    for group in found["groups"]:
        for one in group["services"]:
            title = f"{group['name']}: {one['name']}"
            for row in one["outages"]:
                ended = f"down until {_utc(row['until'])}" if row["until"] else "down, and it goes on"
                # Told anew when it ends.
                key = f"{title}/{row['since']}/{'over' if row['until'] else 'down'}"
                items.append((row["since"], f"{title} down", f"{_utc(row['since'])}: {ended}. {row['words']}", key))
            for row in one["maintenance"]:
                key = f"{title}/{row['since']}/{row['until']}/planned"
                said = f"Planned work from {_utc(row['since'])} until {_utc(row['until'])}. {row['words']}"
                items.append((row["announced"], f"{title}: planned work", said, key))
    items.sort(reverse=True)
    at = format_datetime(datetime.fromisoformat(found["at"]).astimezone(UTC), usegmt=True)
    body = "".join(
        f"<item><title>{escape(title)}</title><description>{escape(said.strip())}</description>"
        f'<link>{escape(link)}</link><guid isPermaLink="false">{escape(key)}</guid>'
        f"<pubDate>{format_datetime(datetime.fromisoformat(since).astimezone(UTC), usegmt=True)}</pubDate></item>"
        for since, title, said, key in items[:100]
    )
    name = escape(f"{_seller()}: status")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>'
        f"<title>{name}</title><link>{escape(link)}</link><description>{name}</description><language>en</language>"
        f'<atom:link href="{escape(link)}.rss" rel="self" type="application/rss+xml"/>'
        f"<lastBuildDate>{at}</lastBuildDate><ttl>1</ttl>{body}</channel></rss>"
    )
    return _kept(HttpResponse(_sound(text), content_type="application/rss+xml; charset=utf-8"))


def _utc(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"


def _sound(text: str) -> str:
    """Without what XML has no way to write."""
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")


def _seller() -> str:
    try:
        return catalog.catalog().provider.name
    except catalog.UnableToFindCatalogError:
        return "Coulance"
