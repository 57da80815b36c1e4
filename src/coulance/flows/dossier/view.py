"""A dossier as it reads: every text in its place and language, from the parts and nothing else."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from coulance.flows.dossier.claims import Claim, ClaimedDebt
from coulance.flows.dossier.gathering import Gathered, Part, local
from coulance.invoicing.documents.calculation import explained
from coulance.invoicing.documents.words import Words
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money, currency, show
from coulance_core.kernel.rounding import round_to

View = dict[str, Any]
TABLE: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))


@cache
def _words(language: str) -> tuple[Words, Mapping[str, str]]:
    formats = Words.of(language)
    return formats, TABLE.get(formats.language) or TABLE["en"]


class _Saying:
    """The words and formats of one dossier."""

    def __init__(self, claim: Claim, language: str) -> None:
        self.f, self.w = _words(language)
        self.zone = claim.account.zone
        self.code = claim.currency

    def money(self, amount: Money) -> str:
        return self.f.money(amount.decimal(), amount.currency)

    def plain(self, decimal: str) -> str:
        return self.f.money(decimal, self.code)

    def word(self, kind: str, name: str) -> str:
        return self.w.get(f"{kind}_{name}") or name.replace("_", " ")

    def when(self, value: str) -> str:
        if len(value) <= 10:
            return self.f.day(value)
        at = local(datetime.fromisoformat(value.replace("Z", "+00:00")), self.zone)
        return f"{self.f.day(at.date())} {at:%H:%M}"


def view(
    gathered: Gathered,
    *,
    parts: Sequence[Part],
    hashes: Mapping[str, str],
    seal: str,
    seller: ProviderTerms,
    language: str,
) -> View:
    """The dossier's texts. `hashes`: of each part, by name."""
    claim, shown = gathered.claim, gathered.shown
    s = _Saying(claim, language)
    w, account = s.w, claim.account
    return {
        "lang": s.f.language,
        "title": w["title"],
        "date": claim.on.isoformat(),
        "seller": {
            "name": seller.name,
            "address": [one for one in seller.address if one],
            "contact": [one for one in (seller.email, seller.phone) if one],
            "ids": [one for one in (seller.vat_id, seller.registration) if one],
        },
        "buyer": [one for one in (account.name, *account.address, account.country) if one],
        "meta": [
            [w["customer"], account.external_id],
            [w["as_of"], s.f.day(claim.on)],
            [w["law"], claim.law.version if claim.law else w["no_law"]],
        ],
        "callout": {
            "label": w["claimed"],
            "amount": s.money(claim.total),
            "by": w["claimed_of"].format(debtor=account.name),
        },
        "debts": [_debt(one, s) for one in claim.debts],
        "sums": _sums(claim, s),
        "notes": _notes(claim, s),
        "happened": _happened(claim, shown, s),
        "invoices": [_invoice(number, one, s) for number, one in shown["documents"].items()],
        "interest": [_interest(one, s) for one in claim.debts if one.interest is not None],
        "costs": _explained(claim.costs.explanation.to_json(), s) if claim.costs else None,
        "messages": _messages(shown, s),
        "consents": [
            {"when": w["given"].format(date=s.when(one["given_at"])), "text": one["text_shown"] or one["terms"]}
            for one in shown["consents"]["consents"]
        ],
        "terms": _terms(shown["terms"], s),
        "paid": _paid(claim, shown["payments"], s),
        "checking": [
            w["check_1"].format(count=len(parts)),
            w["check_2"].format(creditor=seller.name),
        ],
        "seal": seal,
        "parts": [{"name": one.name, "about": w[one.about], "code": hashes[one.name][:16]} for one in parts],
        "words": {key: w[key] for key in _SHOWN},
    }


_SHOWN = (
    "terms set_against no_terms debts number kind due gross paid disputed open interest_of happened when what messages "
    "no_messages consents checking seal attached file holds hash costs_why period days rate base runs not_advice page"
).split()


def _debt(one: ClaimedDebt, s: _Saying) -> list[str]:
    item = one.item
    return [
        item.number,
        s.word("kind", item.kind.value),
        s.f.day(item.due_on),
        s.money(item.gross),
        s.money(item.gross - item.open),
        s.money(one.disputed),
        s.money(one.claimed),
    ]


def _sums(claim: Claim, s: _Saying) -> list[list[str]]:
    rows = [[s.w["principal"], s.money(claim.principal)]]
    if claim.interest.minor:
        rows.append([s.w["interest"].format(date=s.f.day(claim.on)), s.money(claim.interest)])
    if claim.costs_claimed.minor:
        rows.append([s.w["costs"], s.money(claim.costs_claimed)])
    return [*rows, [s.w["total"], s.money(claim.total)]]


def _notes(claim: Claim, s: _Saying) -> list[str]:
    out = []
    disputed = Money(sum(one.disputed.minor for one in claim.debts), claim.currency)
    if disputed.minor:
        out.append(s.w["contested_now"].format(amount=s.money(disputed)))
    if claim.costs is not None and not claim.costs_claimed.minor and claim.letter:
        out.append(s.w["costs_not"].format(amount=s.money(claim.costs.amount)))
    return [*out, s.w["not_advice"]] if claim.law else out


def _happened(claim: Claim, shown: Mapping[str, Any], s: _Saying) -> list[list[str]]:
    """What happened, in order: each row (when, what)."""
    w = s.w
    rows: list[tuple[str, str]] = []
    for one in claim.debts:
        said = w["ev_issued"].format(
            number=one.item.number, amount=s.money(one.item.gross), due=s.f.day(one.item.due_on)
        )
        rows.append((one.item.issued_on.isoformat(), said))
    names = {one.item.ref: one.item.number for one in claim.debts}
    for message in shown["messages"]:
        about = names.get(message["about"], "") or message["subject"]
        for sent in message["deliveries"]:
            said = w["ev_sent"].format(
                kind=s.word("message", message["kind"]), about=about, channel=s.word("channel", sent["channel"]),
                to=sent["to"], state=s.word("state", sent["state"]),
            )  # fmt: skip
            rows.append((message["queued_at"], said))
    rows.extend(_of_money(claim, shown["payments"], s))
    agreed = shown["consents"]
    rows += [(c["given_at"], w["ev_consent"].format(what=c["period"] or c["scope"])) for c in agreed["consents"]]
    rows += [(o["at"], w["ev_warning"].format(threshold=o["threshold"], meter=o["meter"])) for o in agreed["warnings"]]
    for case in shown["disputes"]["cases"]:
        for step in case["steps"]:
            said = s.word("outcome", step["outcome"]) if step["outcome"] else s.word("step", step["kind"])
            rows.append((step["at"], w["ev_dispute"].format(id=case["id"], number=case["number"], what=said)))
    rows.extend(_of_arrears(shown["arrears"], s))
    return [
        [s.when(when), what] for when, what in sorted(rows, key=lambda row: (row[0][:10], len(row[0]) > 10, row[0]))
    ]


def _of_money(claim: Claim, paid: Mapping[str, Any], s: _Saying) -> Iterable[tuple[str, str]]:
    refs = {one.item.ref for one in claim.debts}
    methods = {one["id"]: one["method"] for one in paid["receipts"]}
    for one in paid["credit_notes"]:
        amount = s.plain(one["gross"].lstrip("-"))
        named = {"number": one["number"], "invoice": one["invoice"], "amount": amount}
        yield one["issued_on"], s.w["ev_credit"].format(**named)
    for one in paid["allocations"]:
        if one["ref"] not in refs:
            continue
        amount = s.plain(one["amount"])
        said = s.w["ev_allocated"].format(amount=amount, number=one["number"])
        yield one["effective_on"], f"{said} ({s.word('method', methods.get(one['receipt'], 'other'))})"
        if one["reversed_on"]:
            yield (
                one["reversed_on"],
                s.w["ev_back"].format(amount=amount, number=one["number"], why=one["reversed_why"]),
            )


def _of_arrears(done: Mapping[str, Any], s: _Saying) -> Iterable[tuple[str, str]]:
    w = s.w
    for act in done["acts"]:
        named = {"act": s.word("act", act["act"]), "step": act["step"]}
        yield act["at"], w["ev_act_observed" if act["observed"] else "ev_act"].format(**named)
        if act["undone_at"]:
            yield act["undone_at"], w["ev_undone"].format(**named, ground=act["ground"].replace("_", " "))
    for one in done["held_up"]:
        yield one["since"], w["ev_held"].format(step=one["step"], message=one["message"])
    for one in done["promises"]:
        yield one["made_at"], w["ev_promise"].format(date=s.when(one["pay_by"]))
    for one in done["plans"]:
        said = w["ev_plan"].format(amount=s.plain(one["total"]), state=s.word("plan", one["state"]))
        yield one["agreed_at"] or one["proposed_at"], said


def _invoice(number: str, snapshot: Mapping[str, Any], s: _Saying) -> View:
    return {
        "title": s.w["invoice"].format(number=number),
        "lines": [
            {
                "title": s.w["line"].format(no=n, description=line["description"]),
                "net": s.f.money(line["net"], snapshot["currency"]),
                "why": _explained(line["explanation"], s),
            }
            for n, line in enumerate(snapshot["lines"], 1)
        ],
    }


def _explained(data: Mapping[str, Any], s: _Saying) -> View:
    found = explained(data, s.f)
    return {"rows": found["rows"], "more": [*found["conventions"], *found["notes"]]}


def _interest(one: ClaimedDebt, s: _Saying) -> View:
    assert one.interest is not None
    code = one.item.open.currency
    rows = []
    for stretch in one.interest.stretches:
        runs = s.f.money(show(round_to(stretch.interest, 4)), code)
        rows.append(
            [
                f"{_day(stretch.start, s)} – {_day(stretch.end, s)}",
                str(stretch.days),
                "" if stretch.rest else s.f.digits(show(stretch.percent)) + " %",
                s.money(Money.of(round_to(stretch.principal, currency(code).exponent), code)),
                s.w["rests"] if stretch.rest else runs,
            ]
        )
    return {
        "title": s.w["interest_of"].format(number=one.item.number),
        "rows": rows,
        "sum": s.money(one.interest.amount),
        "more": list(one.interest.explanation.conventions),
    }


def _terms(found: Mapping[str, Any], s: _Saying) -> list[View]:
    """What of the general terms was agreed to, when and how; the words are attached."""
    titles = {(one["version"], one["language"]): one["title"] for one in found["documents"]}
    return [
        {
            "when": s.when(one["at"]),
            "text": s.w["agreed"].format(
                title=titles[one["version"], one["language"]], version=one["version"], how=s.word("how", one["how"])
            ),
            "code": one["sha256"],
        }
        for one in found["acceptances"]
    ]


def _paid(claim: Claim, paid: Mapping[str, Any], s: _Saying) -> list[View]:
    """How the money that went to these debts was divided, receipt by receipt."""
    refs = {one.item.ref for one in claim.debts}
    ours = {one["receipt"] for one in paid["allocations"] if one["ref"] in refs and one["reversed_on"] is None}
    return [
        {
            "title": f"{s.when(one['received_on'])}, {s.word('method', one['method'])}",
            "net": s.plain(one["amount"]),
            "why": _explained(one["explanation"], s),
        }
        for one in paid["receipts"]
        if one["id"] in ours and one["explanation"]
    ]


def _day(on: date, s: _Saying) -> str:
    return s.f.day(on)


def _messages(shown: Mapping[str, Any], s: _Saying) -> list[View]:
    told: dict[str, list[Mapping[str, Any]]] = {}
    for piece in shown["evidence"]["pieces"]:
        told.setdefault(piece["delivery"], []).append(piece)
    return [
        {
            "subject": one["subject"],
            "when": s.when(one["queued_at"]),
            "text": one["text"].strip(),
            "files": s.w["files"].format(files=", ".join(one["files"])) if one["files"] else "",
            "sent": [
                {
                    "to": s.w["sent_to"].format(channel=s.word("channel", sent["channel"]), to=sent["to"]),
                    "pieces": [
                        [s.when(p["at"]), s.word("evidence", p["kind"]), (p["personal"] or {}).get("said", "")[:300]]
                        for p in told.get(sent["id"], ())
                    ],
                }
                for sent in one["deliveries"]
            ],
        }
        for one in shown["messages"]
    ]
