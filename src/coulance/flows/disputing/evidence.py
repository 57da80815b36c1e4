"""What both sides of a case see: the same lines, use, warnings with proof, consents, terms, payments, earlier cases.

One value for the portal, the console and the API; nothing in it is for one side only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from coulance.customers import terms
from coulance.customers.terms import Accepted
from coulance.disputes import queries as cases
from coulance.disputes.queries import CaseRow, FileRow, PartRow
from coulance.flows.disputing.debts import item_of
from coulance.invoicing import queries as invoicing
from coulance.invoicing.documents.view import view
from coulance.invoicing.documents.words import Words
from coulance.notices import queries as sent
from coulance.overage import queries as overage
from coulance.overage.queries import WarningRow
from coulance.overage.reading import ConsentRow
from coulance.payments import statements
from coulance.services import queries as services
from coulance_core.disputes import BY_WHOLE
from coulance_core.kernel import Explanation, Money
from coulance_core.payments import BalancedRow

_LOOK_BACK = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ContestedLine:
    """A contested line: as billed, with its arithmetic; what is contested of it, with that one's."""

    no: int
    description: str
    service: str
    net: str
    why: Explanation
    part: PartRow
    named: str
    terms: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of the period: which threshold of what, when, and how far its mail came."""

    meter: str
    threshold: str
    at: datetime
    proof: str
    delivered_at: datetime | None
    reached_at: datetime | None


@dataclass(frozen=True, slots=True)
class AgreedTerms:
    """The general terms as they were agreed to last before the bill: which, when, how, and their words."""

    agreed: Accepted
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is to see of a case beside its own steps. `pictures` are the period's use as the invoice shows it."""

    lines: tuple[ContestedLine, ...]
    pictures: tuple[Mapping[str, Any], ...]
    use: tuple[Mapping[str, Any], ...]
    warnings: tuple[Warned, ...]
    consents: tuple[ConsentRow, ...]
    payments: tuple[BalancedRow, ...]
    earlier: tuple[CaseRow, ...]
    files: tuple[FileRow, ...]
    terms: AgreedTerms | None


def evidence_of(case: CaseRow, *, language: str, at: datetime, pictures: bool = True) -> Evidence:
    """What both sides see of a case, in a language. A debt that was taken over has no lines, use or warnings here."""
    words = Words.of(language)
    files, earlier = cases.files(case.id), tuple(
        one for one in cases.cases(accounts=[case.account], at=at, limit=50) if one.id != case.id
    )  # fmt: skip
    statement = statements.account_statement(
        account=case.account,
        currency=case.gross.currency,
        start=max((case.opened_at - _LOOK_BACK).date(), date(1990, 1, 1)),
        end=at.date() + timedelta(days=1),
    )
    paid = tuple(statement.rows[-50:])
    if case.document is None:
        lines = tuple(_whole(case, part, words) for part in cases.parts(case.id))
        return Evidence(
            lines, (), (), (), tuple(overage.consents(account=case.account)), paid, earlier, files, _terms(case)
        )
    stored = invoicing.document_by_id(document=case.document)
    shown = view({**stored.snapshot, "language": language}, pictures=pictures)
    lines = _lines(stored.snapshot, {part.line: part for part in cases.parts(case.id)}, words)
    contested = {line.service for line in lines}
    own = [
        one.id
        for found in services.accounts_for_close([case.account])
        for one in found.services
        if one.name in contested
    ]
    consents = tuple(
        one
        for one in overage.consents(account=case.account)
        if one.period_name in ("", stored.row.period_name) and (one.service is None or one.service in own)
    )
    return Evidence(
        lines,
        tuple(shown["pictures"]),
        tuple(shown["use"]),
        tuple(_warned(row, at) for row in overage.warnings(account=case.account, period_name=stored.row.period_name)),
        consents,
        paid,
        earlier,
        files,
        _terms(case, stored.row.issued_on),
    )


def _terms(case: CaseRow, on: date | None = None) -> AgreedTerms | None:
    found = terms.as_accepted(account=case.account, on=on or case.opened_at.date())
    if found is None:
        return None
    return AgreedTerms(found, terms.terms(version=found.version, language=found.language).text)


def _lines(snapshot: Mapping[str, Any], parts: Mapping[int, PartRow], words: Words) -> tuple[ContestedLine, ...]:
    return tuple(
        ContestedLine(
            no,
            line["description"],
            (line["service"] or {}).get("name", "") or line.get("pool", ""),
            line["net"],
            Explanation.from_json(line["explanation"]),
            parts[no],
            named(parts[no], line.get("unit", ""), words),
            line.get("plan_version", ""),
        )
        for no, line in enumerate(snapshot["lines"], 1)
        if no in parts
    )


def _whole(case: CaseRow, part: PartRow, words: Words) -> ContestedLine:
    """A debt that was taken over: what is known of it here is what was open of it then."""
    item = item_of(case.account, case.ref)
    why = Explanation.build("disputes.taken_over")
    gross = case.gross if item is None else item.gross
    why.fact("issued", gross.amount, gross.currency, f"{case.number}, by the system before this one")
    said = _("%(number)s as a whole, tax included") % {"number": case.number}
    return ContestedLine(part.line, said, "", gross.decimal(), why.freeze(), part, named(part, "", words), "")


def _warned(row: WarningRow, at: datetime) -> Warned:
    judged = sent.judgement(row.message, at=at) if row.message else None
    return Warned(
        row.meter,
        row.threshold,
        row.at,
        judged.rung.name.lower().replace("_", " ") if judged else "",
        judged.delivered if judged else None,
        judged.reached if judged else None,
    )


def named(part: PartRow, unit: str, words: Words) -> str:
    """How a part of a line was named, in a few words, in the language in force."""
    given = part.named
    said = [_("all of it")] if not set(given) - {"accepted"} else []
    if "amount" in given:
        before_tax = _("%(amount)s before tax") if part.line != BY_WHOLE else _("%(amount)s, tax included")
        said.append(before_tax % {"amount": _money(given["amount"], words)})
    if "quantity" in given:
        said.append(words.amount_of(given["quantity"], unit))
    if "from" in given:
        said.append(_("%(first)s to %(last)s") % {"first": given["from"][:10], "last": given["until"][:10]})
    if "accepted" in given:
        said.append(_("%(amount)s of it is accepted") % {"amount": _money(given["accepted"], words)})
    return "; ".join(said)


def _money(text: str, words: Words) -> str:
    amount, code = text.split(" ")
    return words.money(Money.of(amount, code).decimal(), code)
