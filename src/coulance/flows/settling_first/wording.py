"""What a customer reads when their overage invoice waits for their choice."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.letters import Letter, written
from coulance.flows.sending.wording import Written
from coulance.flows.settling_first.ways import Way
from coulance.invoicing.documents.words import Words
from coulance_core.kernel import Money


def preview(
    snapshot: dict[str, Any],
    *,
    gross: Money,
    until: datetime,
    ways: Sequence[Way],
    name: str,
    link: str,
    language: str,
) -> Written:
    """The mail that asks: what it comes to and why, what there is to choose, until when, and the one link."""
    words = Words.of(language)
    with translation.override(language):
        amount = words.money(gross.decimal(), gross.currency)
        said = {
            "amount": amount,
            "month": words.month(snapshot["references"]["period"]),
            "until": moment(until, snapshot["period"]["zone"]),
        }
        rows = [
            (line["description"], words.money(line["net"], snapshot["currency"])) for line in snapshot["lines"][:12]
        ]
        if len(snapshot["lines"]) > len(rows):
            rows.append((_("and more lines"), "…"))
        letter = Letter(
            subject=_("Choose how to settle your overage of %(month)s: %(amount)s") % said,
            name=name,
            box=(_("Overage of %(month)s, not billed yet") % said, amount),
            paragraphs=[
                _("Before we issue this invoice, you choose how to settle it. Amounts of lines are before tax.")
            ],
            rows=rows,
            after=[
                _("Your choices: %(choices)s.") % {"choices": "; ".join(_short(way, words) for way in ways)},
                _("If we hear nothing until %(until)s, the invoice is issued as it is.") % said,
                _("Your regular invoice is separate: you can pay it alone, and this never blocks it."),
            ],
            button=_("Look and choose"),
            link=link,
            care=_(
                "The link is yours, for this invoice. Opening it does nothing yet. Don't pass it on: whoever has it "
                "can choose for you."
            ),
        )
    return written(letter, language=language)


def moment(at: datetime, zone: str) -> str:
    """An instant as a customer reads it, in the language in force."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{Words.of(translation.get_language()).day(local.date())}, {local:%H:%M}"


def _short(way: Way, words: Words) -> str:
    if way.total is None:
        return way.title
    return f"{way.title} ({words.money(way.total.decimal(), way.total.currency)})"
