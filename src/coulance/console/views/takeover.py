"""Taking over from another system: its files and the mapping are sent, what would come is seen, then it comes."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import UnableToActError, form_of, reason_of
from coulance.flows.take_over.applying import Outcome, UnableToTakeOverError, take_over
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.kernel import Money

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

LARGEST = 64 * 1024 * 1024
"""All files together; more is taken over by the command."""
SHOWN = 300
"""Findings and differences on the page; the command has them all."""


@operators_only(Permission.MONEY, fresh=True)
@require_http_methods(["GET", "POST"])
def take_over_page(request: HttpRequest) -> HttpResponse:
    """Send the files: first what taking them over would come to; sent again with a reason, it is done, whole or not.

    What is here already is found again and left alone, so this may be sent twice and needs no token.
    """
    form = form_of(request)
    values: dict[str, Any] = {"here": "take-over", "form": form}
    if request.method == "POST":
        sure = request.POST.get("step") == "do"
        try:
            reason = reason_of(request) if sure else ""
            outcome, refused = _run(request, apply=sure, reason=reason)
            values |= _shown(outcome) if outcome is not None else {"refused": refused[:SHOWN]}
        except UnableToActError as fault:
            form.fault = str(fault)
    return render(request, "console/take_over.html", values, status=form.status)


def _run(request: HttpRequest, *, apply: bool, reason: str) -> tuple[Outcome | None, list[str]]:
    """What it came to; none, and why, where the files can't be read at all."""
    from coulance.integrations.takeover.reading import read_source

    files, mapping = request.FILES.getlist("files"), request.FILES.get("mapping")
    if not files or mapping is None:
        raise UnableToActError(_("Choose the files of the system you leave, and the mapping."))
    if sum(file.size or 0 for file in (*files, mapping)) > LARGEST:
        raise UnableToActError(_("That is more than 64 MB: take it over with coulance takeover apply."))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        for file in files:
            _write(file, source / _name(file))
        _write(mapping, Path(folder) / "mapping.toml")
        read = read_source(source, Path(folder) / "mapping.toml")
        if read.book is None:
            return None, [str(one) for one in read.findings]
        try:
            done = take_over(
                book=read.book,
                findings=read.findings,
                apply=apply,
                actor=who(request),
                reason=reason,
                at=clock.now(),
            )
        except UnableToTakeOverError as error:
            return error.outcome, []
    return done, []


def _name(file: "UploadedFile[bytes]") -> str:
    """Its own name without any folder: findings are told by it."""
    return PurePosixPath(str(file.name).replace("\\", "/")).name[:120] or "file"


def _write(file: "UploadedFile[bytes]", path: Path) -> None:
    with path.open("wb") as written:
        for block in file.chunks():
            written.write(block)


def _shown(outcome: Outcome) -> dict[str, Any]:
    done = outcome.reconciliation
    totals = [
        (name, Money(getattr(was, name), code), Money(getattr(now, name), code))
        for code, (was, now) in (done.totals().items() if done is not None else ())
        for name in ("receivables", "credits", "prepaid")
    ]
    differences = outcome.differences or (done.differences if done is not None and outcome.applied else ())
    return {
        "outcome": outcome,
        "records": [
            (record, fresh, outcome.known.get(record, 0))
            for record, fresh in outcome.fresh.items()
            if fresh or outcome.known.get(record)
        ],
        "totals": [(name, before, after, after - before) for name, before, after in totals],
        "findings": sorted(outcome.findings, key=lambda one: not one.stops)[:SHOWN],
        "more": max(len(outcome.findings) - SHOWN, 0),
        "differences": [str(one) for one in differences[:SHOWN]],
        "left_out": outcome.book.left_out[:SHOWN],
        "nothing_new": not any(outcome.fresh.values()),
    }
