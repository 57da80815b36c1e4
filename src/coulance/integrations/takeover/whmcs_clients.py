"""WHMCS's clients and contacts, with the credit each has."""

import re

from coulance.integrations.takeover.gathering import many
from coulance.integrations.takeover.mandate_fields import take_mandate
from coulance.integrations.takeover.whmcs_answers import Placed, Record, number_of
from coulance.integrations.takeover.whmcs_shared import Shared
from coulance_core.kernel import Money, currency
from coulance_core.taking_over import TakenContact, TakenCustomer, TakenPrepaid, Where

_LANGUAGES = {
    "arabic": "ar", "azerbaijani": "az", "catalan": "ca", "chinese": "zh", "croatian": "hr", "czech": "cs",
    "danish": "da", "dutch": "nl", "english": "en", "estonian": "et", "farsi": "fa", "french": "fr", "german": "de",
    "hebrew": "he", "hungarian": "hu", "italian": "it", "macedonian": "mk", "norwegian": "no", "polish": "pl",
    "portuguese-br": "pt-BR", "portuguese-pt": "pt-PT", "romanian": "ro", "russian": "ru", "spanish": "es",
    "swedish": "sv", "turkish": "tr", "ukranian": "uk", "ukrainian": "uk",
}  # fmt: skip


class Clients:
    """Takes over clients and contacts."""

    def __init__(self, of: Shared) -> None:
        self.of, self.into, self.mapping = of, of.into, of.mapping

    def client(self, key: str, row: Placed) -> None:
        record, where = row.record, row.where
        if self.into.asked_out(f"customer/{key}", where, self.of.account(key)):
            self.of.gone.add(key)
            return
        given = self.mapping.customers.get(key, {})
        code = given.get("currency") or self.currency(record, where)
        self.of.currencies[key] = code
        self.of.groups[key] = number_of(record.get("groupid"))
        company = self.into.text(record.get("companyname"), where)
        first, last = (self.into.text(record.get(name), where) for name in ("firstname", "lastname"))
        person = f"{first} {last}".strip() or self.into.text(record.get("fullname"), where)
        vat_id = given.get("vat_id", re.sub(r"[\s.-]", "", self.into.text(record.get("tax_id"), where)).upper())
        country = number_of(record.get("countrycode") or record.get("country")).upper()
        if not (given.get("name") or company or person):
            self.into.find("no-name", where, f"client {key} has neither company nor name", "one of them")
        if str(record.get("taxexempt", "")).lower() in ("1", "on", "true") and "tax_class" not in given:
            found = f"client {key} pays no tax there"
            self.into.find("tax-exempt", where, found, f"customers.{key}.tax_class in the mapping", stops=False)
        self.into.customers.append(
            TakenCustomer(
                where=where,
                account=self.of.account(key),
                name=given.get("name") or company or person,
                kind=given.get("kind") or ("business" if company or vat_id else "consumer"),
                country=given.get("country") or country,
                currency=code,
                vat_id=vat_id,
                address=self.address(record, where),
                language=given.get("language", self.language(record)),
                zone=given.get("zone", ""),
                tax_class=given.get("tax_class", ""),
                billing_day=given.get("billing_day", 1),
            )
        )
        email = given.get("email", self.into.text(record.get("email"), where, 254))
        self.into.contacts.append(
            TakenContact(
                where=where,
                account=self.of.account(key),
                contact="main",
                name=person or company,
                email=email,
                phone=self.into.text(record.get("phonenumberformatted") or record.get("phonenumber"), where, 40),
                roles=("owner", "billing", "technical", "abuse"),
                language=given.get("language", self.language(record)),
                channels=("email",) if email else (),
            )
        )
        self.credit(key, record, where, code)
        fields = _custom_fields(record)
        take_mandate(
            self.into, where, key, self.of.account(key), lambda field: fields.get(field, ""), person or company
        )

    def currency(self, record: Record, where: Where) -> str:
        code = number_of(record.get("currency_code"))
        if not code:
            known = self.of.answers.currencies.get(number_of(record.get("currency")), {})
            code = number_of(known.get("code")) or number_of(record.get("currency"))
        try:
            return currency(code).code
        except ValueError:
            self.into.find("unknown-currency", where, repr(code), "an ISO 4217 currency, such as EUR")
            return ""

    def address(self, record: Record, where: Where) -> tuple[str, ...]:
        parts = [self.into.text(record.get(name), where) for name in ("address1", "address2")]
        town = " ".join(filter(None, (self.into.text(record.get(name), where) for name in ("postcode", "city"))))
        state = self.into.text(record.get("state"), where)
        return tuple(filter(None, [*parts, town, state if state != self.into.text(record.get("city"), where) else ""]))

    def language(self, record: Record) -> str:
        word = number_of(record.get("language")).lower()
        return _LANGUAGES.get(word, word if re.fullmatch(r"[a-z]{2}", word) else "")

    def credit(self, key: str, record: Record, where: Where, code: str) -> None:
        if "credit" not in record or not code:
            return
        balance = self.into.money(record["credit"], code, where, "credit")
        if balance is None:
            return
        log = self.of.answers.credits.get(key)
        if log is not None:
            parts = [self.into.money(row.record.get("amount"), code, row.where, "amount") for row in log]
            total = sum((part.minor for part in parts if part is not None), 0)
            if total != balance.minor:
                found = f"a balance of {balance}, and its log sums to {Money(total, code)}"
                self.into.find("credit-differs", where, found, "the sum of GetCredits")
        if balance.minor and not self.into.asked_out(f"prepaid/{key}", where, self.of.account(key), balance):
            self.into.prepaid.append(
                TakenPrepaid(where=where, key=f"whmcs/credit/{key}", account=self.of.account(key), amount=balance)
            )

    def contact(self, row: Placed) -> None:
        record, where = row.record, row.where
        key, owner = number_of(record.get("id")), number_of(record.get("userid"))
        if owner in self.of.gone or self.into.asked_out(f"contact/{key}", where, self.of.account(owner)):
            return
        first, last = (self.into.text(record.get(name), where) for name in ("firstname", "lastname"))
        email = self.into.text(record.get("email"), where, 254)
        wants = {name for name in ("invoiceemails", "productemails", "supportemails", "generalemails")
                 if number_of(record.get(name)).lower() in ("1", "true", "on")}  # fmt: skip
        roles = [role for role, mail in (("billing", "invoiceemails"), ("technical", "productemails")) if mail in wants]
        self.into.contacts.append(
            TakenContact(
                where=where,
                account=self.of.account(owner),
                contact=f"contact-{key}",
                name=f"{first} {last}".strip() or self.into.text(record.get("companyname"), where) or email,
                email=email,
                phone=self.into.text(record.get("phonenumber"), where, 40),
                roles=tuple(roles),
                channels=("email",) if email else (),
            )
        )


def _custom_fields(record: Record) -> dict[str, str]:
    """Custom fields by their ids: a list of ids and values, or each under a key of its own (customfields3)."""
    out = {key.removeprefix("customfields"): str(value) for key, value in record.items()
           if re.fullmatch(r"customfields\d+", key) and isinstance(value, str | int)}  # fmt: skip
    for row in many(record, "customfields", "customfield") or ():
        if "id" in row:
            out[number_of(row["id"])] = str(row.get("value") or "")
    return out
