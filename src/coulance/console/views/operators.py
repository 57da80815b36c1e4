"""Operators: letting people in, what they may do, shutting them out."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, once, reason_of
from coulance.platform import audit, clock, operators, sign_in_policy
from coulance.platform.roles import PERMISSIONS, Permission, Role

JOBS = {
    Role.VIEWER: "looks at everything, changes nothing",
    Role.SUPPORT: "and sends messages again",
    Role.BILLING: "and closes periods, credits, sends, books payments",
    Role.OPERATIONS: "and looks after collectors, quarantine, alarms and plans",
    Role.ADMIN: "everything, people included",
}
FAULTS = (
    UnableToActError,
    operators.UnableToMakeOperatorError,
    operators.UnableToChangeOperatorError,
    operators.UnableToMakeLinkError,
    sign_in_policy.UnableToChangePolicyError,
)


@operators_only(Permission.PEOPLE, fresh=True)
@require_http_methods(["GET", "POST"])
def operator_list(request: HttpRequest) -> HttpResponse:
    """Everybody, and a form for somebody new."""
    form = form_of(request, "name", "email", role=Role.VIEWER.value)
    if request.method == "POST":
        try:
            return once(request, lambda: _made(request, form.values))
        except FAULTS as fault:
            form.fault = str(fault)
    values = {
        "here": "operators",
        "people": operators.operators(),
        "roles": [(role, JOBS[role], sorted(PERMISSIONS[role])) for role in Role],
        "policy": sign_in_policy.policy(),
        "form": form,
    }
    return render(request, "console/operators.html", values, status=form.status)


@operators_only(Permission.PEOPLE, fresh=True)
@require_http_methods(["GET", "POST"])
def operator_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One operator: another role, a link to sign in, shutting out, taking a lost second factor away."""
    try:
        person = operators.operator(name)
    except operators.UnableToChangeOperatorError as fault:
        raise Http404(str(fault)) from fault
    form = form_of(request, "act", role=person.role.value)
    if request.method == "POST" and form.values["act"] == "link":
        return _link(request, name)
    if request.method == "POST":
        try:
            return once(request, lambda: _changed(request, name, form.values))
        except FAULTS as fault:
            form.fault = str(fault)
    values = {
        "here": "operators",
        "person": person,
        "roles": [(role, JOBS[role]) for role in Role],
        "form": form,
        "events": audit.find(audit.Filter(subjects=[f"operator:{name}"]), limit=20),
        "acted": audit.find(audit.Filter(actor=f"operator:{name}"), limit=20),
    }
    return render(request, "console/operator.html", values, status=form.status)


def _link(request: HttpRequest, name: str) -> HttpResponse:
    """A sign-in link, shown once: it is in no log and no message store."""
    try:
        secret = operators.make_link(name=name, at=clock.now(), actor=who(request))
    except operators.UnableToMakeLinkError:
        return HttpResponseRedirect(f"/operators/{name}")
    address = request.build_absolute_uri(f"/sign-in/{secret}")
    minutes = int(operators.LINK_LASTS.total_seconds() // 60)
    return render(
        request, "console/operator_link.html", {"here": "operators", "name": name, "address": address, "for": minutes}
    )


def _made(request: HttpRequest, typed: dict[str, str]) -> Done:
    made = operators.make_operator(
        name=typed["name"], email=typed["email"], role=_role(typed["role"]), at=clock.now(), actor=who(request)
    )
    return Done(
        f"/operators/{made.name}", _("%(name)s is made. Give them a link to sign in with.") % {"name": made.name}
    )


def _changed(request: HttpRequest, name: str, typed: dict[str, str]) -> Done:
    reason, at, actor = reason_of(request), clock.now(), who(request)
    back = f"/operators/{name}"
    if typed["act"] == "role":
        operators.change_role(name=name, role=_role(typed["role"]), actor=actor, reason=reason, at=at)
        return Done(back, _("%(name)s is %(role)s from their next page on.") % {"name": name, "role": typed["role"]})
    if typed["act"] in ("shut-out", "let-in"):
        active = typed["act"] == "let-in"
        operators.change_access(name=name, active=active, actor=actor, reason=reason, at=at)
        return Done(back, f"{name} may sign in again." if active else f"{name} is shut out, from their next page on.")
    if typed["act"] == "second-factor":
        sign_in_policy.take_second_factor(name=name, actor=actor, reason=reason, at=at)
        return Done(back, _("%(name)s has no second factor any more.") % {"name": name})
    raise UnableToActError(_("Choose what to do."))


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UnableToActError(_("There is no such role.")) from None
