"""Bank files: importing statements after a look, and the queue of entries that nobody was sure of."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, once, reason_of
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.customers import queries as customers
from coulance.flows import bank_import
from coulance.flows import bank_queue as queue
from coulance.flows.rails import bank_answers
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance.integrations.bank.reading import read_bank_file
from coulance.integrations.bank.status_report import is_status_report_file, read_status_report
from coulance.payments import bank
from coulance.payments.errors import PaymentsError
from coulance.platform import clock
from coulance.platform.roles import Permission

LARGEST = 32 * 1024 * 1024
"""Bytes of a file that is sent by the browser; larger ones go by `coulance bank import`."""
STATES = {"queue": ("suggested", "new"), "booked": ("booked",), "ignored": ("ignored",)}
FAULTS = (UnableToActError, queue.UnableToAssignEntryError, PaymentsError)


@operators_only(Permission.SEE)
@require_GET
def bank_queue(request: HttpRequest) -> HttpResponse:
    """Entries that wait for a person; or those decided on."""
    shown = request.GET.get("state", "queue")
    states = STATES.get(shown, STATES["queue"])
    total = bank.count(states=states)
    number = number_asked(request, total)
    rows = bank.entries(states=states, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    return render(
        request,
        "console/bank.html",
        {
            "here": "bank",
            "page": page(request, [_shown(row) for row in rows], number, total),
            "state": shown if shown in STATES else "queue",
            "accounts": bank.status(),
        },
    )


@operators_only(Permission.MONEY, fresh=True)
@require_http_methods(["GET", "POST"])
def bank_entry(request: HttpRequest, entry: int) -> HttpResponse:
    """One entry with its suggestions: assign it, set it aside, or take back what was decided."""
    row = _entry(entry)
    form = form_of(request, "what", "account", "numbers", "receipt", "refund", "collection", "another")
    if request.method == "POST":
        try:
            reason = reason_of(request)
            return once(request, lambda: _decided(row, form.values, who(request), reason))
        except FAULTS as fault:
            form.fault = str(fault)
    return render(request, "console/bank_entry.html", {"here": "bank", "form": form, **_shown(row)}, status=form.status)


@operators_only(Permission.MONEY, fresh=True)
@require_http_methods(["GET", "POST"])
def bank_import_file(request: HttpRequest) -> HttpResponse:
    """Send a bank file: first what it would book, then, sent again with a reason, it does.

    A file may be sent twice and statements may overlap: an entry is booked once, so this needs no token.
    """
    form = form_of(request)
    report = None
    answers: list[bank_answers.ReportDone] = []
    sure = request.POST.get("step") == "do"
    if request.method == "POST":
        try:
            reason = reason_of(request) if sure else ""
            files = [_read(file) for file in request.FILES.getlist("files")]
            if not files:
                raise UnableToActError(_("Choose a file: MT940, camt.053, camt.054 or pain.002."))
            actor, at = who(request), clock.now()
            statements = [file for file in files if isinstance(file, bank_import.GivenFile)]
            reports = [file for file in files if isinstance(file, bank_answers.GivenReport)]
            answers = bank_answers.read_reports(files=reports, apply=sure, actor=actor, at=at)
            report = bank_import.import_statements(files=statements, apply=sure, actor=actor, at=at)
            form.more["reason"] = reason
        except (*FAULTS, UnableToReadBankFileError, bank_import.UnableToImportStatementsError) as fault:
            form.fault = str(fault)
    values = {"here": "bank", "form": form, "report": report, "applied": sure and report is not None}
    values["answers"] = answers
    return render(request, "console/bank_import.html", values, status=form.status)


def _read(file: "UploadedFile[bytes]") -> bank_import.GivenFile | bank_answers.GivenReport:
    name = PurePosixPath(str(file.name).replace("\\", "/")).name[:120] or "file"
    if (file.size or 0) > LARGEST:
        raise UnableToActError(
            _("%(name)s is larger than 32 MB: import it with coulance bank import.") % {"name": name}
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "statements"
        path.write_bytes(file.read())
        try:
            if is_status_report_file(path):
                found, content = read_status_report(path)
                return bank_answers.GivenReport(name, content, found)
            return bank_import.GivenFile(name, read_bank_file(path))
        except UnableToReadBankFileError as fault:
            raise UnableToActError(str(fault).replace("statements", name, 1)) from None


def _decided(row: bank.EntryRow, typed: dict[str, str], actor: str, reason: str) -> Done:
    at = clock.now()
    if typed["what"] == "ignore":
        queue.ignore(entry=row.id, actor=actor, reason=reason, at=at)
        return Done("/bank", _("Entry %(id)s is set aside.") % {"id": row.id})
    if typed["what"] == "reopen":
        queue.reopen(entry=row.id, actor=actor, reason=reason, at=at)
        return Done(
            f"/bank/{row.id}",
            _("Entry %(id)s waits in the queue again; what it had booked is undone.") % {"id": row.id},
        )
    if typed["what"] == "return":
        if not typed["receipt"].strip().isdecimal():
            raise UnableToActError(_("Which payment came back? Give its number."))
        receipt = int(typed["receipt"].strip()[:15])
        queue.assign(entry=row.id, actor=actor, reason=reason, at=at, receipt=receipt)
        return Done("/bank", _("Payment %(receipt)s is undone: it came back.") % {"receipt": receipt})
    if typed["what"] == "sent-back":
        if not typed["refund"].strip().isdecimal():
            raise UnableToActError(_("Which refund came back? Give its number."))
        refund = int(typed["refund"].strip()[:15])
        queue.assign(entry=row.id, actor=actor, reason=reason, at=at, refund=refund)
        return Done("/bank", _("Refund %(refund)s is undone: its money is here again.") % {"refund": refund})
    if typed["what"] != "assign":
        raise UnableToActError(_("Choose what it is."))
    numbers = [part.strip() for part in typed["numbers"].replace(";", ",").split(",") if part.strip()]
    account = typed["account"].strip()
    collection = typed["collection"].strip()
    if not account and not numbers and not collection:
        raise UnableToActError(_("Say whose payment it is: an account, or documents."))
    done = queue.assign(
        entry=row.id,
        actor=actor,
        reason=reason,
        at=at,
        account=account,
        numbers=numbers,
        collection=collection,
        another=typed["another"] == "yes",
    )
    return Done("/bank", _("%(amount)s is booked for %(who)s.") % {"amount": done.amount, "who": done.who})


def _shown(row: bank.EntryRow) -> dict[str, Any]:
    suggestions = list(row.match.get("suggestions") or ())
    ids = {one["account"] for one in suggestions} | ({row.account} if row.account else set())
    names = {each.id: each for each in customers.accounts(ids)} if ids else {}
    return {
        "row": row,
        "entry": row.entry,
        "owner": names.get(row.account) if row.account else None,
        "suggestions": [{**one, "owner": names[one["account"]]} for one in suggestions if one["account"] in names],
        "flags": [str(flag).replace("_", " ") for flag in row.match.get("flags") or ()],
        "explanation": row.match.get("explanation"),
    }


def _entry(entry: int) -> bank.EntryRow:
    try:
        return bank.entry(entry=entry)
    except PaymentsError as fault:
        raise Http404(str(fault)) from fault
