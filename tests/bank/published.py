"""The expected parses that come with the samples, compared fact for fact with what our readers took apart."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from coulance.integrations.bank.camt import CamtMessage, CamtRecord
from coulance.integrations.bank.camt_facts import Account, Address, Amount, Detail, Entry, Identification, Party
from coulance_core.kernel import currency

Pair = tuple[str, object, object]
"""A fact's name, what is expected, what was read."""

_BALANCES = {
    "OPBD": "opening",
    "OPAV": "opening_available",
    "CLBD": "closing",
    "CLAV": "closing_available",
    "PRCD": "opening",
    "FWAV": "forward_available",
    "INFO": "information",
    "ITAV": "interim_available",
    "ITBD": "interim",
    "XPCD": "expected_credit",
}
"""The publisher has one word for a kind; ISO's code is finer."""
_ROLES = {"Creditor": "Cdtr", "Debtor": "Dbtr", "UltimateCreditor": "UltmtCdtr", "UltimateDebtor": "UltmtDbtr"}
_REFERENCES = {
    "getAccountOwnerTransactionId": "AcctOwnrTxId",
    "getAccountServicerReference": "AcctSvcrRef",
    "getAccountServicerTransactionId": "AcctSvcrTxId",
    "getChequeNumber": "ChqNb",
    "getClearingSystemReference": "ClrSysRef",
    "getEndToEndId": "EndToEndId",
    "getInstructionId": "InstrId",
    "getMandateId": "MndtId",
    "getMarketInfrastructureTransactionId": "MktInfrstrctrTxId",
    "getMessageId": "MsgId",
    "getPaymentInformationId": "PmtInfId",
    "getProcessingId": "PrcgId",
    "getTransactionId": "TxId",
    "getUuidEndToEndReference": "UETR",
}


def _kind(value: dict[str, Any]) -> str:
    return str(value["__CLASS__"]).rsplit("\\", 1)[-1]


def _said(value: object) -> str:
    return "" if value is None else str(value)


def _listed(values: list[Any], first: Any) -> list[dict[str, Any]]:
    """A list whose first value was told before, under a name of its own."""
    return [first, *values[1:]] if values and not isinstance(values[0], dict) else values


def _instant(value: dict[str, str] | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value["0"]).astimezone(UTC)


def _aware(value: datetime | None) -> datetime | None:
    return value if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def _money(where: str, expected: dict[str, Any] | None, got: Amount | None) -> Iterator[Pair]:
    """The publisher gives minor units, rounded half up where the file has more decimals."""
    if expected is None:
        yield where, None, got
        return
    code = expected["getCurrency"]["getCode"]
    assert got is not None, where
    scaled = got.value.scaleb(currency(code).exponent)
    yield f"{where}: amount", Decimal(expected["getAmount"]), scaled.quantize(Decimal(1))
    yield f"{where}: currency", code, got.currency


def camt(expected: dict[str, Any], got: CamtMessage) -> Iterator[Pair]:
    """Every fact of an expected message."""
    head = expected["getGroupHeader"]
    yield "message id", head["getMessageId"], got.header.message_id
    yield "created", _instant(head["getCreatedOn"]), _aware(got.header.created_at)
    yield "additional", _said(head["getAdditionalInformation"]), got.header.additional
    yield "page", _said((head["getPagination"] or {}).get("getPageNumber")), got.header.page
    yield from _party("recipient", head["getMessageRecipient"], got.header.recipient)
    query = head.get("getOriginalBusinessQuery")
    if query:
        assert got.header.query is not None
        yield "query", query["getMessageId"], got.header.query[0]
        yield "query name", query["getMessageNameId"], got.header.query[1]
        yield "query created", _instant(query["getCreatedOn"]), _aware(got.header.query[2])
    # A record comes whole under its first entry, or in the list of records where it has none. Of a message with two
    # statements the publisher tells only the last one's entries.
    yield "records", len(expected["getRecords"]), len(got.records)
    records = {entry["getRecord"]["getId"]: entry["getRecord"] for entry in expected["getEntries"] if _whole(entry)}
    records |= {record["getId"]: record for record in expected["getRecords"] if isinstance(record, dict)}
    mine = {record.head.id: record for record in got.records}
    assert records
    for key, record in records.items():
        yield from _record(record, mine[key])
    read = [entry for key in records for entry in mine[key].entries]
    yield "entries", len(expected["getEntries"]), len(read)
    for number, (theirs, ours) in enumerate(zip(expected["getEntries"], read, strict=True)):
        assert isinstance(theirs, dict)
        yield from _entry(f"entry {number}", theirs, ours)


def _whole(entry: dict[str, Any]) -> bool:
    return isinstance(entry["getRecord"], dict)


def _record(expected: dict[str, Any], got: CamtRecord) -> Iterator[Pair]:
    head = got.head
    yield "id", expected["getId"], head.id
    yield "electronic number", _said(expected["getElectronicSequenceNumber"]), head.electronic_number
    yield "legal number", _said(expected["getLegalSequenceNumber"]), head.legal_number
    yield "page", _said((expected["getPagination"] or {}).get("getPageNumber")), head.page
    yield "created", _instant(expected["getCreatedOn"]), _aware(head.created_at)
    yield "from", _instant(expected["getFromDate"]), _aware(head.from_at)
    yield "to", _instant(expected["getToDate"]), _aware(head.to_at)
    yield "copy", _said(expected["getCopyDuplicateIndicator"]), head.copy
    yield "additional", _said(expected["getAdditionalInformation"]), head.additional
    yield from _account("account", expected["getAccount"], head.account)
    if "getEntries" in expected:
        yield "entries", len(expected["getEntries"]), len(got.entries)
    balances = expected.get("getBalances", [])
    yield "balances", len(balances), len(got.balances)
    for theirs, mine in zip(balances, got.balances, strict=True):
        yield "balance", theirs["getType"], _BALANCES.get(mine.kind, mine.kind)
        yield from _money(f"balance {mine.kind}", theirs["getAmount"], mine.amount)
        assert mine.on is not None
        yield "balance day", _instant(theirs["getDate"]).date(), mine.on  # type: ignore[union-attr]


def _account(where: str, expected: dict[str, Any] | None, got: Account | None) -> Iterator[Pair]:
    if expected is None:
        yield where, None, got
        return
    assert got is not None, where
    yield f"{where}: number", expected["getIdentification"], got.identification
    yield f"{where}: iban", _kind(expected) == "IbanAccount", got.is_iban
    yield f"{where}: name", _said(expected.get("getName")), got.name if got.is_iban else ""


def _code(where: str, expected: dict[str, Any], code: Any) -> Iterator[Pair]:
    domain, own = expected["getDomain"], expected["getProprietary"]
    yield f"{where}: domain", domain["getCode"] if domain else "", code.domain
    yield f"{where}: family", domain["getFamily"]["getCode"] if domain else "", code.family
    yield f"{where}: sub-family", domain["getFamily"]["getSubFamilyCode"] if domain else "", code.sub_family
    yield f"{where}: proprietary", own["getCode"] if own else "", code.proprietary
    yield f"{where}: issuer", own["getIssuer"] if own else "", code.issuer


def _entry(where: str, expected: dict[str, Any], got: Entry) -> Iterator[Pair]:
    yield from _money(where, expected["getAmount"], got.amount)
    yield f"{where}: mark", expected["getCreditDebitIndicator"], "CRDT" if got.is_credit else "DBIT"
    yield f"{where}: reversal", expected["getReversalIndicator"], got.is_reversal
    yield f"{where}: status", expected["getStatus"], got.status
    yield f"{where}: reference", _said(expected["getReference"]), got.reference
    yield f"{where}: bank's reference", _said(expected["getAccountServicerReference"]), got.servicer_reference
    yield f"{where}: additional", expected["getAdditionalInfo"], got.additional
    yield f"{where}: batch", _said(expected["getBatchPaymentId"]), got.batch_payment
    yield f"{where}: charges", expected["getCharges"], got.charges
    booked = _instant(expected["getBookingDate"])
    yield f"{where}: booked", booked and booked.date(), got.booked_on
    yield f"{where}: booked at", booked if got.booked_at else None, _aware(got.booked_at)
    value = _instant(expected["getValueDate"])
    yield f"{where}: value", value and value.date(), got.value_on
    yield from _code(where, expected["getBankTransactionCode"], got.code)
    details = _listed(expected["getTransactionDetails"], expected["getTransactionDetail"])
    yield f"{where}: details", len(details), len(got.details)
    for number, (theirs, mine) in enumerate(zip(details, got.details, strict=True)):
        yield from _detail(f"{where} detail {number}", theirs, mine, got.is_credit)


def _detail(where: str, expected: dict[str, Any], got: Detail, entry_is_credit: bool) -> Iterator[Pair]:
    if expected["getAmount"] is not None:
        # The publisher signs a payment by its entry's mark, whatever its own says.
        sign = 1 if entry_is_credit else -1
        assert got.amount is not None
        yield from _money(where, expected["getAmount"], Amount(sign * got.amount.value, got.amount.currency))
    if expected["getAmountDetails"] is not None:
        amount = abs(Decimal(expected["getAmountDetails"]["getAmount"]))
        assert got.amount is not None
        yield f"{where}: amount in details", amount, got.amount.value.scaleb(currency(got.amount.currency).exponent)
    yield f"{where}: additional", _said(expected["getAdditionalTransactionInformation"]), got.additional
    yield f"{where}: charges", expected["getCharges"], got.charges
    yield f"{where}: return", expected["getReturnInformation"] is not None, got.is_return
    if expected["getBankTransactionCode"]:
        yield from _code(where, expected["getBankTransactionCode"], got.code)
    refs = expected["getReference"]
    if refs:
        for name, element in _REFERENCES.items():
            yield f"{where}: {element}", _said(refs[name]), got.references.get(element, "")
        theirs = [(own["getType"], own["getReference"]) for own in refs["getProprietaries"]]
        yield f"{where}: own references", theirs, list(got.proprietary_references)
    else:
        yield f"{where}: references", {}, got.references
    yield from _parties(where, expected["getRelatedParties"], got.parties)
    kinds = {"CdtrAgt": "CreditorAgent", "DbtrAgt": "DebtorAgent"}
    told = [
        agent["getRelatedAgentType"] for agent in _listed(expected["getRelatedAgents"], expected["getRelatedAgent"])
    ]
    agents = sorted((_kind(agent), agent["getBIC"], agent["getName"]) for agent in told)
    yield f"{where}: agents", agents, sorted((kinds[a.role], a.bic, a.name) for a in got.agents)
    yield from _remittance(where, expected["getRemittanceInformation"], got)


def _parties(where: str, expected: list[dict[str, Any]], got: tuple[Party, ...]) -> Iterator[Pair]:
    told = [party for party in got if party.role != "InitgPty"]
    yield (
        f"{where}: parties",
        sorted(_ROLES[_kind(p["getRelatedPartyType"])] for p in expected),
        sorted(party.role for party in told),
    )
    for theirs in expected:
        role = _ROLES[_kind(theirs["getRelatedPartyType"])]
        mine = next(party for party in told if party.role == role)
        yield from _party(f"{where} {role}", theirs["getRelatedPartyType"], mine)
        yield from _account(f"{where} {role} account", theirs["getAccount"], mine.account)


def _party(where: str, expected: dict[str, Any] | None, got: Party | None) -> Iterator[Pair]:
    if expected is None:
        yield where, None, got
        return
    assert got is not None, where
    yield f"{where}: name", expected["getName"], got.name
    if "getCountryOfResidence" in expected:
        yield f"{where}: residence", expected["getCountryOfResidence"], got.country
    yield from _address(where, expected["getAddress"], got.address)
    yield from _identification(where, expected["getIdentification"], got.identification)


def _address(where: str, expected: dict[str, Any] | None, got: Address | None) -> Iterator[Pair]:
    if expected is None:
        yield f"{where}: address", None, got
        return
    assert got is not None, where
    yield f"{where}: country", _said(expected["getCountry"]), got.country
    yield f"{where}: lines", expected["getAddressLines"], list(got.lines)
    yield f"{where}: street", _said(expected["getStreetName"]), got.street
    yield f"{where}: building", _said(expected["getBuildingNumber"]), got.building
    yield f"{where}: postcode", _said(expected["getPostCode"]), got.postcode
    yield f"{where}: town", _said(expected["getTownName"]), got.town


def _identification(where: str, expected: dict[str, Any] | None, got: Identification | None) -> Iterator[Pair]:
    if expected is None:
        yield f"{where}: identified", None, got
        return
    assert got is not None, where
    yield f"{where}: number", expected["getOtherId"], got.number
    yield f"{where}: issuer", expected["getOtherIssuer"], got.issuer
    yield f"{where}: scheme", _said(expected["getOtherSchemeName"]), got.scheme
    yield f"{where}: organisation", _kind(expected) == "OrganisationIdentification", got.organisation
    if got.organisation:
        yield f"{where}: bic", _said(expected["getBic"]), got.bic
        return
    yield f"{where}: born", _instant(expected["getBirthDate"]).date().isoformat(), got.born_on  # type: ignore[union-attr]
    born_in = (expected["getProvinceOfBirth"], expected["getCityOfBirth"], expected["getCountryOfBirth"])
    yield f"{where}: born in", born_in, got.born_in


def _remittance(where: str, expected: dict[str, Any] | None, got: Detail) -> Iterator[Pair]:
    if expected is None:
        yield f"{where}: remittance", ((), ()), (got.unstructured, got.structured)
        return
    texts = _listed(expected["getUnstructuredBlocks"], expected["getUnstructuredBlock"])
    yield f"{where}: texts", [block["getMessage"] for block in texts], list(got.unstructured)
    blocks = _listed(expected["getStructuredBlocks"], expected["getStructuredBlock"])
    yield f"{where}: blocks", len(blocks), len(got.structured)
    for theirs, mine in zip(blocks, got.structured, strict=True):
        info = theirs["getCreditorReferenceInformation"]
        if not isinstance(info, dict):
            info = expected["getCreditorReferenceInformation"]
        yield f"{where}: structured reference", info["getRef"], mine.reference
        yield f"{where}: its code", _said(info["getCode"]), mine.code
        yield f"{where}: its own type", _said(info["getProprietary"]), mine.proprietary
        yield f"{where}: added", _said(theirs["getAdditionalRemittanceInformation"]), mine.additional
