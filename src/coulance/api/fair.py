"""The fair ways out: which plan a service would be cheapest on, and goodwill on an invoice's usage line."""

from fractions import Fraction
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Status
from pydantic import Field

from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Money, Reason, Shown, amount_of, money
from coulance.flows import advice, goodwill
from coulance.invoicing import errors
from coulance.platform import clock
from coulance.services.queries import UnableToFindServiceError
from coulance_core.overage.advice import PlanRecord, Verdict
from coulance_core.overage.goodwill import By, Cause, GoodwillError, Grant

advised = Router(tags=["advice"])
given = Router(tags=["goodwill"])

ServiceId = Annotated[str, Path(description="Your id of the service.", max_length=100, examples=["vps-1001"])]
Number = Annotated[str, Path(description="The number of an overage invoice.", max_length=140, examples=["V2026-0001"])]
ROLE = "billing"
"""Whose goodwill budget bounds a token: each token has its own, of this size."""


class PlanCompared(Shown):
    """What the periods would have cost on a plan, before tax; `saved` against the plan it is on now."""

    plan: str
    version: str
    total: Money
    saved: Money
    cheaper_in: int
    present: bool


class PlanAdvice(Shown):
    """The plans from the cheapest to the dearest, over whole periods up to `through`, and the verdict."""

    service: str
    through: str
    periods: int
    verdict: Verdict
    advised: Annotated[str | None, Field(description="The plan that is advised; null unless the verdict is `change`.")]
    plans: list[PlanCompared]


class GoodwillGrant(Given):
    """How much to give of a usage line: an amount, a share in percent of it as billed, or a cap on what they pay."""

    by: Annotated[str, Field(pattern="^(amount|share|cap)$", examples=["share"])]
    amount: Annotated[Money | None, Field(description="For an amount or a cap, before tax.")] = None
    percent: Annotated[int | None, Field(ge=1, le=100, description="For a share.", examples=[50])] = None
    line: Annotated[int | None, Field(ge=1, le=100_000, description="Needed where it has several usage lines.")] = None
    cause: Annotated[Cause, Field(strict=False)]
    reason: Annotated[Reason, Field(description="What the customer reads on the credit note.")]


class GoodwillDone(Shown):
    """The credit note, what it gives before tax, and what is left of the line."""

    credit_note: str
    amount: Money
    left: Money


def _plan(record: PlanRecord, present: PlanRecord) -> dict[str, Any]:
    return {
        "plan": record.version.plan,
        "version": record.version.version,
        "total": money(record.total),
        "saved": money(record.saved),
        "cheaper_in": record.cheaper_in,
        "present": record is present,
    }


@operation(advised, "GET", "/{service}", scope="customers:read", summary="The cheapest plan for what it used",
           response=PlanAdvice, refusals=[409])  # fmt: skip
def advise(request: HttpRequest, service: ServiceId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """Measures the service's last whole periods again and rates them on every plan that is sold."""
    try:
        found = advice.advise(service=service, at=clock.now())
    except UnableToFindServiceError as fault:
        raise Problem(404, "not-there", str(fault), where="service") from fault
    except advice.UnableToAdviseError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    change = found.advice.verdict is Verdict.CHANGE and found.advice.plan is not None
    return {
        "service": service,
        "through": found.through,
        "periods": len(found.comparison.present.measured),
        "verdict": found.advice.verdict,
        "advised": found.advice.plan.plan if change and found.advice.plan else None,
        "plans": [_plan(record, found.comparison.present) for record in found.comparison.ranked],
    }


@operation(given, "POST", "/{number}", scope="invoices:write", summary="Give goodwill on an invoice's usage line",
           response={201: GoodwillDone})  # fmt: skip
def grant(request: HttpRequest, number: Number, wanted: GoodwillGrant) -> Any:
    """Numbered and booked at once, as a credit note on that line. Send an Idempotency-Key to give it once."""
    try:
        how = (
            Grant(By.SHARE, share=Fraction(wanted.percent or 0, 100))
            if wanted.by == "share" and wanted.amount is None
            else Grant(
                By(wanted.by),
                amount_of(wanted.amount, "body.amount") if wanted.amount else None,
                None if wanted.percent is None else Fraction(wanted.percent, 100),
            )
        )
        done = goodwill.grant_goodwill(
            number=number,
            line=wanted.line,
            grant=how,
            cause=wanted.cause,
            reason=wanted.reason,
            actor=actor_of(request),
            role=ROLE,
            at=clock.now(),
        )
    except GoodwillError as fault:
        raise Problem(422, "not-as-expected", str(fault), where="body") from fault
    except errors.UnableToFindDocumentError as fault:
        raise Problem(404, "not-there", str(fault), where="number") from fault
    except (errors.UnableToCreditError, goodwill.UnableToGrantError) as fault:
        raise Problem(409, "refused", str(fault)) from fault
    return Status(201, {"credit_note": done.credit_note, "amount": money(done.amount), "left": money(done.left)})
