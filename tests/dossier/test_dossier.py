"""A dossier says what is so, and its own program finds each byte of it that was changed."""

import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from string import Formatter
from typing import Any

import pypdf
import pytest

from coulance.disputes import queries as cases
from coulance.flows.dossier.gathering import CHECK
from coulance.flows.dossier.making import UnableToMakeDossierError, make_dossier
from coulance.flows.dossier.view import TABLE
from coulance.payments import queries as payments
from coulance.platform import audit
from coulance_core.arrears import DebtKind
from tests.disputes.court import Court, later
from tests.dossier.making import AT, made, parts_of
from tests.overage.fair import TABLES

inside: Any = import_module("coulance.flows.dossier.check")  # it has no types: it is for others to run


def test_it_holds_the_claim_and_what_it_rests_on_and_finds_any_change(history: Court, tmp_path: Path) -> None:
    dossier = made()
    parts = dict(parts_of(dossier))
    claim = json.loads(parts["claim.json"])
    (overage,) = [one for one in claim["debts"] if one["kind"] == "overage"]
    # 242.00 billed, 20.00 paid, 50.00 and its tax contested: 161.50 claimed.
    assert (overage["gross"], overage["open"], overage["disputed"], overage["claimed"]) == (
        "242.00", "222.00", "60.50", "161.50",
    )  # fmt: skip
    # 10.4 % on 181.50 for the 16 days until the payment of 3 August, then on 161.50 for 48.
    exact = Fraction("10.4") / 36500 * (Fraction("181.50") * 16 + Fraction("161.50") * 48)
    assert abs(Fraction(overage["interest"]["accrued"]) - exact) <= Fraction("0.005")
    assert claim["totals"]["costs"] == "40.00"  # the least that the Dutch tiers give
    assert Fraction(claim["totals"]["claim"]) == sum(
        Fraction(claim["totals"][n]) for n in ("principal", "interest", "costs")
    )
    assert inside.faults_of(parts) == []

    # The PDF carries the very parts, as another program reads them, and as the check itself does.
    reader = pypdf.PdfReader(io.BytesIO(dossier.pdf))
    assert {name: found[0] for name, found in reader.attachments.items()} == parts
    assert inside.attached(dossier.pdf) == parts
    text = "\n".join(page.extract_text() for page in reader.pages)
    for said in (
        dossier.seal,
        "€161.50",
        "on V2026-0001: opened",
        "boss@acme.example",
        "accepted by the receiving server",
        "General terms 2026-01, agreed to on paper",
        "What each payment was set against, and why",
        "to V2026-0001",
    ):
        assert said in text, said
    assert b"pdfaid" in dossier.pdf
    # Whoever gets it may not act as the customer by a link in their mail.
    assert "/contest/[...]" in parts["messages.json"].decode()
    assert not [name for name, data in parts.items() if re.search(rb"/contest/[A-Za-z0-9]", data)]

    # Whoever has the file alone runs what comes inside.
    (tmp_path / "dossier.pdf").write_bytes(dossier.pdf)
    (tmp_path / "check.py").write_bytes(parts["check.py"])
    run = [sys.executable, "-I", str(tmp_path / "check.py"), str(tmp_path / "dossier.pdf")]
    answer = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert dossier.seal in answer.stdout

    _changed_anywhere(parts)
    _changed_and_sealed_again(parts)
    _gone_or_added(parts)


def _changed_anywhere(parts: dict[str, bytes]) -> None:
    """One byte of each part in turn, at its start, middle and end."""
    for name, data in parts.items():
        for where in (0, len(data) // 2, len(data) - 2):
            other = bytearray(data)
            other[where] ^= 1
            faults = _faults({**parts, name: bytes(other)})
            assert any(fault.startswith(f"{name}:") for fault in faults), (name, where, faults)


def _faults(parts: dict[str, bytes]) -> list[str]:
    try:
        return list(inside.faults_of(parts))
    except ValueError:
        return ["manifest.json: can't be read"]


def _changed_and_sealed_again(parts: dict[str, bytes]) -> None:
    """Whoever also makes the hashes fit is found by the chains and the arithmetic."""

    def deep(name: str, change: Callable[[Any], None]) -> list[str]:
        held = json.loads(parts[name])
        change(held)
        return list(inside.faults_of(_sealed({**parts, name: json.dumps(held, ensure_ascii=False, indent=1).encode()})))

    def set_(path: list[Any], value: Any) -> Callable[[Any], None]:
        def change(held: Any) -> None:
            for step in path[:-1]:
                held = held[step]
            assert held[path[-1]] != value
            held[path[-1]] = value

        return change

    assert inside.faults_of(_sealed(parts)) == []
    for name, path, value in (
        ("ledger.json", ["entries", 0, "postings", 0, 1], 1),
        ("ledger.json", ["entries", 0, "effective_on"], "2026-01-01"),
        ("ledger.json", ["entries", 1, "source"], "document/999"),
        ("ledger.json", ["sealed", "root"], "00" * 32),
        ("ledger.json", ["sealed", "proof", 0, 1], "00" * 32),
        ("evidence.json", ["pieces", 1, "kind"], "delivered"),
        ("evidence.json", ["pieces", 1, "at"], "2026-01-01T00:00:00.000000Z"),
        ("evidence.json", ["pieces", 0, "personal", "to"], "somebody@else.example"),
        ("messages.json", ["messages", 0, "deliveries", 0, "id"], "<invented@example>"),
        ("invoice-V2026-0001.json", ["lines", 0, "net"], "190.00"),
        ("invoice-V2026-0001.json", ["totals", "gross"], "243.00"),
        ("claim.json", ["debts", 1, "gross"], "243.00"),
        ("claim.json", ["debts", 1, "disputed"], "0.00"),
        ("claim.json", ["debts", 1, "interest", "stretches", 0, "days"], 640),
        ("claim.json", ["debts", 1, "interest", "claimed"], "9.99"),
        ("claim.json", ["costs", "amount"], "41.00"),
        ("claim.json", ["totals", "claim"], "999.00"),
        ("claim.json", ["owed"], "1.00"),
        ("payments.json", ["allocations", 0, "amount"], "2.00"),
        ("payments.json", ["receipts", 0, "amount"], "21.00"),
        ("payments.json", ["receipts", 0, "explanation", "steps", 0, 3], "19"),
        ("terms.json", ["documents", 0, "text"], "1. What is due is paid whenever.\n"),
        ("terms.json", ["documents", 0, "sha256"], "00" * 32),
        ("terms.json", ["acceptances", 0, "at"], "2026-01-01T00:00:00+00:00"),
        ("terms.json", ["acceptances", 0, "personal", "contact"], "somebody"),
        ("terms.json", ["acceptances", 0, "previous"], "11" * 32),
    ):  # fmt: skip
        assert deep(name, set_(path, value)), (name, path)
    assert deep("ledger.json", lambda held: held["entries"].pop(0))
    assert deep("evidence.json", lambda held: held["pieces"].pop(0))


def _sealed(parts: dict[str, bytes]) -> dict[str, bytes]:
    held = json.loads(parts["manifest.json"])
    for one in held["parts"]:
        one["sha256"], one["size"] = hashlib.sha256(parts[one["name"]]).hexdigest(), len(parts[one["name"]])
    del held["seal"]
    held["seal"] = hashlib.sha256(inside.canonical(held)).hexdigest()
    return {**parts, "manifest.json": json.dumps(held).encode()}


def _gone_or_added(parts: dict[str, bytes]) -> None:
    fewer = {name: data for name, data in parts.items() if name != "consents.json"}
    assert inside.faults_of(fewer) == ["consents.json: is missing"]
    assert inside.faults_of({**parts, "more.txt": b"x"}) == ["more.txt: is not in the manifest: it was added"]


def test_after_a_credit_note_and_with_money_on_hand_it_still_adds_up(history: Court) -> None:
    (case,) = [one["id"] for one in json.loads(parts_of(made())["disputes.json"])["cases"]]
    history.decides(case, "upheld", at=later(60))
    parts = dict(parts_of(made()))
    assert inside.faults_of(parts) == []
    (note,) = json.loads(parts["payments.json"])["credit_notes"]
    assert (note["invoice"], note["gross"].lstrip("-")) == ("V2026-0001", "60.50")
    claim = json.loads(parts["claim.json"])
    assert [one["open"] for one in claim["debts"]] == ["24.20", "161.50"]
    assert [one["disputed"] for one in claim["debts"]] == ["0.00", "0.00"]
    lie = json.loads(parts["payments.json"])
    lie["credit_notes"] = []
    changed = _sealed({**parts, "payments.json": json.dumps(lie).encode()})
    assert inside.faults_of(changed) == ["claim.json: V2026-0001: gross less payments and credit is 222.0"]


def test_why_money_went_where_it_did_recomputes_whatever_was_named_taken_back_or_credited(history: Court) -> None:
    from coulance.payments.explaining import BY_HAND, explained

    history.pays("30.00", on=date(2026, 7, 9))  # names nothing: the fees of 24.20 first, then the overage
    history.pays("5.00", history.number, on=date(2026, 7, 10))
    history.decides(_only_case(history), "upheld", at=later(60))
    found = explained(account=history.account)
    rows = {row.id: row for row in payments.allocations(accounts=[history.account]) if row.amount.minor > 0}
    steps = {number: step for one in found for number, step in one.steps.items()}
    assert steps.keys() == rows.keys()
    for one in found:
        known = one.explanation.recompute()
        for number, step in one.steps.items():
            assert known[step] == rows[number].amount.amount, step
        assert known["allocated"] == sum(rows[number].amount.amount for number in one.steps)
    (free, again, named) = found[:3]  # by the day they came
    text = free.explanation.render()
    assert "open on B2026-0001 = 24.2" in text
    assert "open on V2026-0001 = 222" in text  # what was open when the 20.00 had been paid
    assert BY_HAND not in text
    assert BY_HAND not in named.explanation.render()  # all of the 20.00 fitted
    assert "open on V2026-0001 = 216.2" in again.explanation.render()
    assert inside.faults_of(dict(parts_of(made()))) == []


def test_no_interest_runs_for_the_days_on_which_we_were_late_to_decide(history: Court) -> None:
    history.decides(
        _only_case(history), "rejected", at=later(60)
    )  # opened on 6 July: 14 days, then late until 4 September
    parts = parts_of(made())
    (overage,) = [one for one in json.loads(parts["claim.json"])["debts"] if one["kind"] == "overage"]
    rests = [(one["from"], one["until"]) for one in overage["interest"]["stretches"] if one["rest"]]
    runs = sum(one["days"] for one in overage["interest"]["stretches"] if not one["rest"])
    assert (rests[0][0], rests[-1][1]) == ("2026-07-20", "2026-09-05"), rests
    assert runs == 64 - 47  # it was due 64 days before
    assert inside.faults_of(dict(parts)) == []
    from coulance.flows.arrears.facts import read

    history.world.provider(extra='email = "hulp@polder.example"\n', more='[arrears]\nmode = "enforce"\n', rest=TABLES)
    facts = read([history.account], at=AT)[history.account].facts
    (debt,) = [one for one in facts.debts if one.kind is DebtKind.OVERAGE]
    assert debt.our_delay == ((date(2026, 7, 20), date(2026, 9, 5)),)


def _only_case(history: Court) -> int:
    (case,) = cases.cases(accounts=[history.account], at=later(50))
    return case.id


def test_in_dutch_of_one_debt_and_who_made_it_is_known(history: Court) -> None:
    dossier = made(numbers=["B2026-0001"], language="nl")
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(dossier.pdf)).pages)
    assert "Dossier van een vordering" in text
    assert "V2026-0001" not in text
    assert inside.faults_of(dict(parts_of(dossier))) == []
    assert made(numbers=["B2026-0001"], language="nl").pdf == dossier.pdf
    (event, *_) = audit.events(act="dossier.made")
    assert (event.actor, event.reason, event.detail["seal"]) == ("operator:anna", "their lawyer asked", dossier.seal)
    everything = b"".join(data for name, data in parts_of(dossier).items() if name != "evidence.json")
    assert b"operator:anna" not in everything, "who works here is nobody's business"
    # Mail about other invoices stays a hash.
    evidence = json.loads(parts_of(dossier)["evidence.json"])
    assert {piece["personal"] for piece in evidence["pieces"]} == {None}
    assert b"boss@acme.example" not in everything

    with pytest.raises(UnableToMakeDossierError, match="nothing open on X1"):
        made(numbers=["X1"])
    with pytest.raises(UnableToMakeDossierError, match="say why"):
        make_dossier(account="acme", actor="operator:anna", reason=" ", at=AT)


def test_words_say_the_same_in_each_language() -> None:
    def placeholders(text: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(text)} - {None}

    assert TABLE["en"].keys() == TABLE["nl"].keys()
    for key, text in TABLE["en"].items():
        assert placeholders(text) == placeholders(TABLE["nl"][key]), key


def test_the_check_needs_nothing_but_python() -> None:
    imported = {line.split()[1] for line in CHECK.read_text().splitlines() if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)


def test_it_is_read_at_one_moment(committed_db: Any) -> None:
    from coulance.customers.queries import UnableToFindAccountError

    with pytest.raises(UnableToFindAccountError):  # and not a refusal of the isolation that it asks for first
        made()


def test_a_debt_that_was_taken_over_contested_and_given_back_in_part_adds_up(history: Court) -> None:
    from tests.disputes.test_taken_over import OLD, opens, some, taken

    debt = taken(history)
    case = opens(history, debt, some("120.00"))
    parts = dict(parts_of(made()))
    claim = {one["number"]: one for one in json.loads(parts["claim.json"])["debts"]}
    assert (claim[OLD]["open"], claim[OLD]["disputed"], claim[OLD]["paid_before"]) == ("300.00", "120.00", "100.00")
    assert OLD in {one["number"] for one in json.loads(parts["disputes.json"])["cases"]}
    assert inside.faults_of(parts) == []
    history.decides(case, "upheld", at=later(60))
    parts = dict(parts_of(made()))
    claim = {one["number"]: one for one in json.loads(parts["claim.json"])["debts"]}
    assert (claim[OLD]["open"], claim[OLD]["disputed"]) == ("180.00", "0.00")
    assert inside.faults_of(parts) == []
    (set_off,) = [one for one in json.loads(parts["payments.json"])["receipts"] if one["method"] == "credit"]
    assert "credit of" in json.dumps(set_off["explanation"])
