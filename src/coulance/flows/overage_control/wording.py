"""What a warning says: how much is used of what, when it runs out at this pace, what happens then and what it costs.

All texts go through gettext. The HTML loads nothing from anywhere; its picture is a table, since mail programs drop
drawings, and stands without its styles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext as _

from coulance.flows.overage_control.judging import Judged
from coulance.flows.overage_control.outlook import Outlook
from coulance.flows.sending.wording import STYLE, Written, language_of
from coulance.invoicing.documents.words import Words
from coulance_core.catalog.terms import Action, Of
from coulance_core.kernel import Money
from coulance_core.overage.standing import Stop, stop_point

_SHOWN_DAYS = 14
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Situation:
    """What a warning is about. `stopped` is whether the network is paused or throttled by it now, and how.

    `again` when it was told before and nobody has answered; `resumed` when it runs again. `of` is the kind of threshold
    that is told of.
    """

    judged: Judged
    outlook: Outlook
    seller: str
    contact: tuple[str, ...]
    action: Action
    stopped: bool
    at: datetime
    again: bool = False
    resumed: bool = False
    of: Of | None = None


def write(situation: Situation, *, language: str, name: str, link: str, until: datetime) -> Written:
    """The mail to one reader, with their own link."""
    own = language_of(language)
    with translation.override(own):
        return _Mail(situation, own, name, link, until).written()


def short(situation: Situation, *, language: str, link: str) -> str:
    """The text message to one reader."""
    own = language_of(language)
    with translation.override(own):
        mail = _Mail(situation, own, "", link, situation.at)
        said = {"seller": situation.seller, "what": mail.subject(), "link": link}
        return (_("%(seller)s: %(what)s. Answer: %(link)s") % said).replace("\u00a0", " ")


def facts(situation: Situation, *, language: str) -> list[str]:
    """What the mail says of use, pace, what happens and cost, in sentences, for a page."""
    own = language_of(language)
    with translation.override(own):
        return _Mail(situation, own, "", "", situation.at).sentences()


@dataclass(frozen=True, slots=True)
class _Mail:
    of: Situation
    language: str
    name: str
    link: str
    until: datetime

    @property
    def words(self) -> Words:
        return Words.of(self.language)

    def _amount(self, value: Fraction) -> str:
        return self.words.amount_of(value, self.of.judged.counted.unit, 1)

    def _money(self, amount: Money) -> str:
        return self.words.money(amount.decimal(), amount.currency)

    def _day(self, day: date) -> str:
        return self.words.day(day)

    def _said(self) -> dict[str, str]:
        judged, one = self.of.judged, self.of.judged.counted
        look, zone = self.of.outlook, one.zone
        point = stop_point(judged.standing)
        return {
            "seller": self.of.seller,
            "service": one.service.name,
            "charge": one.charge.name,
            "used": self._amount(one.used),
            "included": self._amount(one.included),
            "percent": self._percent(),
            "since": self._day(one.part.active.start.astimezone(zone).date()),
            "last": self._day(one.part.active.end.astimezone(zone).date()),
            "passes": self._day(look.passes_at.astimezone(zone).date()) if look.passes_at else "",
            "at_end": self._amount(look.at_end),
            "cost": self._money(judged.cost_now),
            "cost_at_end": self._money(look.cost_at_end),
            "charged_at_end": self._money(look.charged_at_end),
            "limit": self._limit(),
            "stop": self._amount(point.at) if point else "",
            "until": self._day(self.until.astimezone(zone).date()),
            "burst": self._burst(),
            "services": ", ".join(dict.fromkeys(drawing.service.name for drawing in one.drawings if drawing.now)),
        }

    def _percent(self) -> str:
        one = self.of.judged.counted
        if not one.included:
            return "–"
        # Rounded down, as the portal does: 100 % is said only when it is.
        return self.words.number(one.used * 100 // one.included, 0) + "\u00a0%"

    def _limit(self) -> str:
        consent = self.of.judged.standing.consent
        if consent is None:
            return ""
        limit = consent.limit
        if limit.typed == "quantity" and limit.quantity is not None:
            return self._amount(limit.quantity)
        return self._money(limit.amount) if limit.amount is not None else ""

    def _over(self) -> bool:
        return self.of.judged.counted.used >= self.of.judged.counted.included

    def subject(self) -> str:
        """What a list of mails shows."""
        said = self._said()
        if self.of.resumed:
            return _("%(service)s runs again") % said
        if self.of.judged.port is not None:
            return self._of_port(said)
        if self.of.stopped:
            return _("%(service)s is paused: %(used)s of %(included)s used") % said
        if self.of.of is Of.FORECAST and self.of.outlook.passes_at is not None:
            return _("%(service)s will have used its %(included)s on %(passes)s at this pace") % said
        if self.of.of is Of.UNUSUAL:
            return _("%(service)s uses more than it usually does") % said
        if self.of.again:
            return _("Please answer: %(service)s has used %(percent)s of its %(included)s") % said
        return _("%(service)s has used %(percent)s of its %(included)s") % said

    def _of_port(self, said: dict[str, str]) -> str:
        if self.of.stopped and self.of.judged.rate_bps is not None:
            return _("%(service)s is held to %(stop)s: its burst is used up") % said
        if self.of.stopped:
            return _("%(service)s is paused: its burst is used up") % said
        return _("%(service)s has %(burst)s of burst left") % said

    def _burst(self) -> str:
        """Hours and minutes of burst that are left."""
        port = self.of.judged.port
        minutes = 0 if port is None else int(port.burst.minutes_left)
        if minutes >= 60:
            return _("%(hours)d hours and %(minutes)d minutes") % {"hours": minutes // 60, "minutes": minutes % 60}
        return _("%(minutes)d minutes") % {"minutes": minutes}

    def sentences(self) -> list[str]:
        """Use, pace, what happens, cost."""
        judged, look, said = self.of.judged, self.of.outlook, self._said()
        if judged.port is not None:
            out = [
                _(
                    "%(charge)s of %(service)s since %(since)s: the percentile so far is %(used)s, and %(included)s "
                    "are paid for. It may lie above that for another %(burst)s."
                )
                % said
            ]
        else:
            out = [
                _("%(charge)s of %(service)s since %(since)s: %(used)s of the %(included)s included (%(percent)s).")
                % said
            ]
        if judged.counted.pool is not None:
            out.append(_("%(services)s draw on it together.") % said)
        if self.of.of is Of.UNUSUAL:
            out.append(_("In the last hours it used far more than it usually does at this time."))
        if self.of.resumed:
            out.append(_("Its network runs again, without limits of ours."))
        if judged.port is not None and look.passes_at is not None:
            out.append(_("At this pace the burst is used up on %(passes)s.") % said)
        elif look.passes_at is not None:
            out.append(_("At this pace the allowance is used up on %(passes)s.") % said)
        elif self._over() and not self.of.stopped:
            out.append(_("At this pace it will be %(at_end)s by %(last)s.") % said)
        out += self._what_happens()
        if judged.standing.consent is not None:
            out.append(
                _("It costs %(cost)s so far; at this pace %(charged_at_end)s, and never more than your limit.") % said
            )
        elif look.cost_at_end.minor:
            out.append(
                _("It costs nothing so far. If you allowed all of it, it would be %(cost_at_end)s at this pace.") % said
            )
        else:
            out.append(_("It costs nothing so far.") % said)
        return out

    def _what_happens(self) -> list[str]:
        judged, said = self.of.judged, self._said()
        if judged.budget_spent and not self.of.stopped:
            early = [
                _(
                    "Much of what was used past the allowance in the last year was not charged. So a pause comes a "
                    "little earlier than it would, so that nothing more runs on."
                )
            ]
            return [*early, *self._then(said)]
        return self._then(said)

    def _then(self, said: dict[str, str]) -> list[str]:
        judged = self.of.judged
        point = stop_point(judged.standing)
        if self.of.action not in (Action.PAUSE, Action.THROTTLE) or judged.counted.kind == "level":
            return [_("What is used beyond what you agreed to is not charged.")]
        why = point.why if point is not None else None
        if judged.port is not None:
            return self._then_of_port(why, said)
        if self.of.stopped:
            match why:
                case Stop.EXPOSURE:
                    return [
                        _(
                            "Its network is paused until you say that you know: nobody has answered, and costs "
                            "were running up."
                        )
                    ]
                case Stop.LIMIT:
                    return [
                        _(
                            "Its network is paused, since your limit of %(limit)s is reached. A higher limit ends "
                            "that at once."
                        )
                        % said
                    ]
                case Stop.DORMANT:
                    return [
                        _(
                            "Its network is paused: you set a limit of %(limit)s, but we don't know yet that we reach "
                            "you. An answer by the link ends that at once."
                        )
                        % said
                    ]
                case _:
                    return [
                        _(
                            "Its network is paused, since you agreed to no overage. A limit that you choose ends "
                            "that at once, or the next period on %(last)s."
                        )
                        % said
                    ]
        match why:
            case None:
                return []
            case Stop.ALLOWANCE:
                return [
                    _(
                        "When the allowance is used up its network is paused, and nothing beyond it is charged, "
                        "unless you set a limit."
                    )
                ]
            case Stop.DORMANT:
                return [
                    _(
                        "You set a limit of %(limit)s, but we don't know yet that we reach you. Answer by the "
                        "link, else its network is paused when the allowance is used up."
                    )
                    % said
                ]
            case Stop.EXPOSURE:
                return [
                    _(
                        "You set a limit of %(limit)s. At %(stop)s its network is paused unless somebody has "
                        "answered by then."
                    )
                    % said
                ]
            case Stop.LIMIT:
                return [_("You set a limit of %(limit)s. At %(stop)s its network is paused.") % said]

    def _then_of_port(self, why: Stop | None, said: dict[str, str]) -> list[str]:
        """A port is held to what may be charged; without a word of its customer by the provider's own terms."""
        held = self.of.judged.rate_bps is not None
        if self.of.stopped and held:
            return [_("It is held to %(stop)s, so that nothing past that is charged. A higher limit ends that.") % said]
        if self.of.stopped:
            return [
                _(
                    "Its network is paused, since you agreed to no overage. A limit that you choose ends that at once, "
                    "or the next period on %(last)s."
                )
                % said
            ]
        if why in (Stop.LIMIT, Stop.EXPOSURE):
            return [_("Once its burst above %(stop)s is used up, it is held to that.") % said]
        if why is None:
            return []
        return [
            _(
                "When the burst is used up it is held to what is paid for, or paused, and nothing beyond is charged, "
                "unless you set a limit."
            )
        ]

    def written(self) -> Written:
        """The whole."""
        return Written(self.language, self.subject(), self._text(), self._html())

    def _greeting(self) -> str:
        return _("Hello %(name)s,") % {"name": self.name} if self.name else _("Hello,")

    def _ask(self) -> str:
        return _("Say that you know, set a limit, or pause it yourself:")

    def _care(self) -> str:
        said = self._said()
        return (
            _(
                "The link is yours, for this warning, until %(until)s. Opening it does nothing yet. Don't pass it "
                "on: whoever has it can answer for you."
            )
            % said
        )

    def _signature(self) -> Sequence[str]:
        return [_("Kind regards,"), self.of.seller, *self.of.contact]

    def _bars(self) -> list[tuple[str, str, int]]:
        """Day, amount, width; the widest is the highest of these days."""
        days = self.of.outlook.days[-_SHOWN_DAYS:]
        most = max((amount for _day, amount in days), default=Fraction(0))
        return [
            (self.words.day(day), self._amount(amount), int(amount * _WIDTH / most) if most else 0)
            for day, amount in days
        ]

    def _text(self) -> str:
        rows = self._bars()
        wide = max((len(day) for day, _amount, _w in rows), default=0)
        picture = "\n".join(
            f"  {day.rjust(wide)}  {'#' * (width * 24 // _WIDTH):<24}  {amount}" for day, amount, width in rows
        )
        parts = [self._greeting(), "\n".join(self.sentences()), f"{self._ask()}\n{self.link}", self._care(), picture]
        parts.append("\n".join(self._signature()))
        return "\n\n".join(part for part in parts if part).replace("\u00a0", " ") + "\n"

    def _html(self) -> str:
        tone = "box due" if self._over() else "box"
        head, *rest = self.sentences()
        body = "".join(f"<p>{escape(line)}</p>" for line in rest)
        rows = "".join(
            f'<tr><td class="dim" align="right">{escape(day)}</td><td width="{_WIDTH}"><div style="background:#2a6f97;'
            f'height:10px;width:{max(width, 1)}px;font-size:1px;line-height:10px">&nbsp;</div></td>'
            f'<td align="right">{escape(amount)}</td></tr>'
            for day, amount, width in self._bars()
        )
        caption = escape(_("Use by day"))
        table = f'<table class="days"><caption class="dim">{caption}</caption>{rows}</table>' if rows else ""
        regards, seller, *contact = self._signature()
        foot = "<br>".join([f"<strong>{escape(seller)}</strong>", *map(escape, contact)])
        button = escape(_("Answer this warning"))
        return _PAGE.format(
            language=self.language,
            title=escape(self.subject()),
            style=STYLE,
            greeting=escape(self._greeting()),
            head=f'<div class="{tone}"><p>{escape(head)}</p><p class="amount">{escape(self._percent())}</p></div>',
            body=body,
            ask=escape(self._ask()),
            link=escape(self.link),
            button=button,
            care=escape(self._care()),
            table=table,
            regards=escape(regards),
            foot=foot,
        )


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}
.days {{ border-collapse: collapse; font-size: 14px; margin: 0 0 14px; }}
.days td {{ padding: 1px 7px 1px 0; white-space: nowrap; }}
.days caption {{ text-align: left; padding-bottom: 4px; }}
.button {{ display: inline-block; background: #1d5a80; color: #ffffff; padding: 11px 20px; border-radius: 6px;
          text-decoration: none; font-weight: 600; }}
</style>
</head>
<body>
<div class="page">
<h1>{title}</h1>
<p>{greeting}</p>
{head}
{body}
<p>{ask}</p>
<p><a class="button" href="{link}" rel="noreferrer">{button}</a></p>
<p class="dim">{care}</p>
{table}
<div class="foot">{regards}<br>{foot}</div>
</div>
</body>
</html>
"""
