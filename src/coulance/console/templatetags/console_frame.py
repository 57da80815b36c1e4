"""The frame around every page: the side navigation with what this operator may open, and open critical alarms."""

from typing import Any, NamedTuple

from django import template
from django.template import Context
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.platform import alarms
from coulance.platform.roles import Permission, may

register = template.Library()


class Entry(NamedTuple):
    """A page of the navigation."""

    key: str
    name: str
    address: str
    permission: Permission = Permission.SEE
    badge: str = ""


class Group(NamedTuple):
    """Pages that belong together."""

    key: str
    name: str
    pages: list[Entry]


def _groups() -> list[Group]:
    return [
        Group("first", "", [Entry("overview", _("Overview"), "/")]),
        Group(
            "customers",
            _("Customers"),
            [
                Entry("accounts", _("Accounts"), "/accounts"),
                Entry("services", _("Services"), "/services"),
                Entry("plans", _("Plans"), "/plans"),
                Entry("take-over", _("Take over"), "/take-over", Permission.MONEY),
            ],
        ),
        Group(
            "billing",
            _("Billing"),
            [
                Entry("periods", _("Periods"), "/periods"),
                Entry("documents", _("Documents"), "/documents"),
                Entry("sending", _("Sending"), "/sending"),
            ],
        ),
        Group(
            "money",
            _("Money"),
            [
                Entry("payments", _("Payments"), "/payments"),
                Entry("bank", _("Bank"), "/bank"),
                Entry("collections", _("Collections"), "/collections"),
                Entry("gateways", _("Gateways"), "/gateways"),
                Entry("paybacks", _("Paying back"), "/paybacks"),
                Entry("open-items", _("Open items"), "/open-items"),
                Entry("disputes", _("Contested bills"), "/disputes"),
            ],
        ),
        Group(
            "arrears",
            _("Arrears"),
            [
                Entry("arrears", _("In arrears"), "/arrears"),
                Entry("arrears-calendar", _("What comes"), "/arrears/calendar"),
                Entry("arrears-held", _("Held up"), "/arrears/held"),
                Entry("arrears-plans", _("Plans and promises"), "/arrears/plans"),
                Entry("arrears-risk", _("Money at risk"), "/arrears/risk"),
            ],
        ),
        Group(
            "overage",
            _("Overage"),
            [
                Entry("overage", _("Near limits"), "/overage"),
                Entry("unreached", _("Not reached"), "/overage/unreached"),
                Entry("approvals", _("Approvals"), "/overage/approvals"),
                Entry("waiting", _("Before the bill"), "/overage/waiting"),
                Entry("consents", _("Consents"), "/overage/consents"),
                Entry("pauses", _("Pauses"), "/overage/pauses"),
                Entry("goodwill", _("Goodwill"), "/overage/goodwill"),
                Entry("exposure", _("Exposure"), "/overage/exposure"),
                Entry("campaigns", _("Campaigns"), "/overage/campaigns"),
            ],
        ),
        Group(
            "contracts",
            _("Service"),
            [
                Entry("contracts", _("Service contracts"), "/contracts"),
                Entry("promises", _("Promises of response"), "/promises"),
                Entry("tickets-held", _("Mail that waits"), "/tickets/held"),
                Entry("uptime", _("Promises of uptime"), "/uptime"),
            ],
        ),
        Group(
            "metering",
            _("Metering"),
            [
                Entry("collectors", _("Collectors"), "/collectors"),
                Entry("quarantine", _("Quarantine"), "/quarantine"),
                Entry("restrictions", _("Restrictions"), "/restrictions"),
                Entry("alarms", _("Alarms"), "/alarms"),
            ],
        ),
        Group(
            "house",
            _("House"),
            [
                Entry("audit", _("Audit trail"), "/audit"),
                Entry("operators", _("Operators"), "/operators", Permission.PEOPLE),
            ],
        ),
    ]


@register.filter("may")
def may_do(user: object, permission: str) -> bool:
    """Whether this operator may do that, so that a button they can't press isn't shown. The view decides."""
    return may(user, Permission(permission))


@register.inclusion_tag("console/parts/frame.html", takes_context=True)
def frame(context: Context, here: str = "") -> dict[str, Any]:
    """The navigation; `here` is the key of the page that is open."""
    user = context["user"]
    groups = [
        shown._replace(pages=pages)
        for shown in _groups()
        if (pages := [page for page in shown.pages if may(user, page.permission)])
    ]
    return {
        "groups": groups,
        "here": here,
        "name": user.get_username(),
        "role": getattr(user, "role", ""),
        "csrf_token": context.get("csrf_token"),
        "spoken": translation.get_language() or "en",
        "path": context["request"].get_full_path() if "request" in context else "/",
    }


@register.inclusion_tag("console/parts/banner.html")
def alarm_banner(here: str = "") -> dict[str, Any]:
    """What is critical now, on every page but the one that lists alarms."""
    found = [] if here == "alarms" else [each for each in alarms.open_alarms() if each.severity == "critical"]
    return {"first": found[0] if found else None, "more": len(found) - 1}
