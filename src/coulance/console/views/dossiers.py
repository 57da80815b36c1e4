"""A dossier of what an account owes, or a package for a collector or mediator; the reason is kept."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import UnableToActError, reason_of
from coulance.customers import queries as customers
from coulance.flows.dossier.handing_over import To, package
from coulance.flows.dossier.making import UnableToMakeDossierError, make_dossier
from coulance.payments import queries as payments
from coulance.platform import clock
from coulance.platform.roles import Permission

_DOSSIER = "dossier"


@operators_only(Permission.BILLING)
@require_http_methods(["GET", "POST"])
def dossier(request: HttpRequest, external_id: str) -> HttpResponse:
    """Choose the debts and say why; the answer is the file."""
    try:
        account = customers.account(external_id)
    except customers.UnableToFindAccountError as fault:
        raise Http404(str(fault)) from fault
    every = payments.open_items(accounts=[account.id]).get(account.id, ())
    items = [item for item in every if item.open.minor > 0]
    chosen = request.POST.getlist("debt") if request.method == "POST" else [item.number for item in items]
    wrong = ""
    if request.method == "POST":
        try:
            return _file(request, account, chosen)
        except (UnableToActError, UnableToMakeDossierError) as error:
            wrong = str(error)
    return render(
        request,
        "console/dossier.html",
        {
            "here": "accounts",
            "account": account,
            "debts": [(item, item.number in chosen) for item in items],
            "kinds": _kinds(),
            "kind": request.POST.get("kind", _DOSSIER),
            "language": request.POST.get("language", account.language),
            "reason": request.POST.get("reason", ""),
            "fault": wrong,
        },
        status=422 if wrong else 200,
    )


def _kinds() -> list[tuple[str, str]]:
    return [
        (_DOSSIER, _("The dossier (PDF)")),
        (To.COLLECTION.value, _("A package for a collector (zip)")),
        (To.MEDIATION.value, _("A package for a mediator (zip)")),
    ]


def _file(request: HttpRequest, account: customers.AccountRow, chosen: list[str]) -> HttpResponse:
    reason = reason_of(request)
    if not chosen:
        raise UnableToActError(_("Choose at least one debt."))
    language = request.POST.get("language", "")
    kind = request.POST.get("kind", "")
    if language not in ("en", "nl") or kind not in dict(_kinds()):
        raise UnableToActError(_("Choose what to make, and its language."))
    actor, at = who(request), clock.now()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{kind}-{account.external_id}-{at:%Y-%m-%d}")
    if kind == _DOSSIER:
        made = make_dossier(
            account=account.external_id, numbers=chosen, language=language, actor=actor, reason=reason, at=at
        )
        answer, name = HttpResponse(made.pdf, content_type="application/pdf"), f"{name}.pdf"
    else:
        packed = package(
            account=account.external_id,
            to=To(kind),
            numbers=chosen,
            language=language,
            actor=actor,
            reason=reason,
            at=at,
        )
        answer, name = HttpResponse(packed.content, content_type="application/zip"), f"{name}.zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
