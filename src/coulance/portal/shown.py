"""A service's charge as a page shows it: words and a picture, made of what overage control knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.utils import translation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalog
from coulance.flows.overage_control.acting import Seen
from coulance.flows.overage_control.wording import Situation, facts
from coulance.invoicing.documents.words import Words
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import Money, show
from coulance_core.overage.standing import Stop, stop_point

_WIDE, _TALL = 400, 200
_LEFT, _TOP, _BOTTOM = 8, 24, 28


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page says of a charge."""

    seen: Seen
    service: str
    name: str
    charge: str
    charge_name: str
    used: str
    included: str
    limit: str
    percent: str
    percent_number: int
    over: bool
    state: str
    tone: str
    sentences: Sequence[str]
    cost: str
    paused_here: bool
    by_customer: bool
    by_overage: bool
    typed: str
    typed_in: str
    unit: str
    currency: str
    picture: SafeString
    meter_max: str
    meter_used: str
    meter_high: str
    asks: bool
    """Whether use stops for an answer once so much ran up."""


def shown(seen: Seen, *, at: datetime, picture: bool = False) -> Shown:
    """In the language in force."""
    judged, one = seen.judged, seen.judged.counted
    language = translation.get_language() or "en"
    words = Words.of(language)
    terms = catalog.catalog().overage
    by_overage = Source.OVERAGE in seen.paused_by
    situation = Situation(
        judged=judged, outlook=seen.outlook, seller="", contact=(), action=terms.action, stopped=by_overage, at=at
    )
    over = bool(one.included) and one.used >= one.included
    percent = int(one.used * 100 / one.included) if one.included else 0
    state, tone = _state(seen, over, percent)
    consent = seen.consent
    typed = typed_in = ""
    if consent is not None:
        typed_in = consent.limit.typed
        if typed_in == "amount" and consent.limit.amount is not None:
            typed = consent.limit.amount.decimal()
        elif consent.limit.quantity is not None:
            typed = show(consent.limit.quantity)
    point = stop_point(judged.standing)
    limit = words.amount_of(point.at, one.unit, 1) if point is not None and point.why is Stop.LIMIT else ""
    return Shown(
        seen=seen,
        service=one.service.external_id,
        name=one.service.name,
        charge=one.charge.key,
        charge_name=one.charge.name,
        used=words.amount_of(one.used, one.unit, 1),
        included=words.amount_of(one.included, one.unit, 1),
        limit=limit,
        percent=f"{words.number(percent, 0)}\u00a0%",
        percent_number=percent,
        over=over,
        state=state,
        tone=tone,
        sentences=facts(situation, language=language) if seen.controlled else [],
        cost=_money(words, judged.cost_now),
        paused_here=bool(seen.paused_by),
        by_customer=Source.CUSTOMER in seen.paused_by,
        by_overage=by_overage,
        typed=typed,
        typed_in=typed_in,
        unit=one.unit,
        currency=judged.terms.currency,
        picture=_picture(seen, words) if picture else SafeString(""),
        meter_max=f"{float(max(one.included, one.used) or 1):.3f}",
        meter_used=f"{float(one.used):.3f}",
        meter_high=f"{float(one.included * Fraction(4, 5)):.3f}",
        asks=terms.exposure is not None,
    )


def _money(words: Words, amount: Money) -> str:
    return words.money(amount.decimal(), amount.currency)


def _state(seen: Seen, over: bool, percent: int) -> tuple[str, str]:
    if seen.paused_by:
        return _("Network paused"), "bad"
    if over:
        return _("Past the allowance"), "warn"
    if percent >= 80:
        return _("Nearly used up"), "warn"
    return _("Within the allowance"), "good"


def _picture(seen: Seen, words: Words) -> SafeString:
    """Use added up by day, with lines for the allowance, the limit, and where it leads at this pace."""
    one, look = seen.judged.counted, seen.outlook
    days = look.days
    if not days or seen.judged.port is not None:  # the samples of a percentile don't add up
        return SafeString("")
    total, sums = Fraction(0), []
    for _day, amount in days:
        total += amount
        sums.append(total)
    whole = max(one.part.active.seconds // 86400, 1)
    point = stop_point(seen.judged.standing)
    limit = point.at if point is not None and point.why is Stop.LIMIT else None
    near = look.at_end if look.at_end < 3 * max(one.included, total) else total
    top = max(one.included, total, near, limit or Fraction(0)) * Fraction(11, 10) or Fraction(1)

    def x(day: int) -> str:
        return f"{_LEFT + (_WIDE - 2 * _LEFT) * min(day / whole, 1):.1f}"

    def y(value: Fraction) -> str:
        return f"{_TOP + (_TALL - _TOP - _BOTTOM) * (1 - float(value / top if value < top else 1)):.1f}"

    line = " ".join([f"{x(0)},{y(Fraction(0))}", *(f"{x(n + 1)},{y(value)}" for n, value in enumerate(sums))])
    rules = [("allowance", one.included, _("included"))]
    if limit is not None:
        rules.append(("limit", limit, _("your limit")))
    drawn = format_html_join(
        "",
        '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="{}" x="{}" y="{}">{} {}</text>',
        (
            (kind, _LEFT, _WIDE - _LEFT, y(value), y(value), kind, _LEFT + 4, f"{float(y(value)) - 5:.1f}",
             words.amount_of(value, one.unit, 1), label)
            for kind, value, label in rules
        ),
    )  # fmt: skip
    ahead = format_html(
        '<line class="ahead" x1="{}" y1="{}" x2="{}" y2="{}"/>', x(len(days)), y(total), x(whole), y(look.at_end)
    )
    zone = one.zone
    first, last = one.part.active.start.astimezone(zone), one.part.active.end.astimezone(zone)
    title = _("Use of %(charge)s, added up by day: %(used)s of %(included)s") % {
        "charge": one.charge.name,
        "used": words.amount_of(one.used, one.unit, 1),
        "included": words.amount_of(one.included, one.unit, 1),
    }
    return format_html(
        '<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}"><polygon class="area" points="{} {},{}"/>'
        '<polyline class="use" points="{}"/>{}{}<text class="day" x="{}" y="{}">{}</text>'
        '<text class="day end" x="{}" y="{}">{}</text></svg>',
        _WIDE, _TALL, title, line, x(len(days)), y(Fraction(0)), line, ahead, drawn, _LEFT, _TALL - 8,
        words.short_day(first), _WIDE - _LEFT, _TALL - 8, words.short_day(last),
    )  # fmt: skip
