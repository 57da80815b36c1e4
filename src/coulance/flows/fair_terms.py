"""Core's policies of advice and goodwill, made from the provider's terms."""

from coulance_core.catalog.terms import Catalog
from coulance_core.overage.advice import AdvicePolicy
from coulance_core.overage.goodwill import Cause, CostTerms, GoodwillPolicy


def advice_policy(catalog: Catalog) -> AdvicePolicy:
    """When a change of plan is advised, by `[advice]`."""
    terms = catalog.advice
    return AdvicePolicy(
        saves=terms.saves,
        share=terms.share / 100,
        in_periods=terms.in_periods,
        of_periods=terms.of_periods,
        every=terms.every,
        smaller=terms.smaller,
    )


def goodwill_policy(catalog: Catalog) -> GoodwillPolicy:
    """What goodwill is proposed, and within which budgets, by `[goodwill]`."""
    terms = catalog.goodwill
    usual = GoodwillPolicy()
    return GoodwillPolicy(
        shares={**usual.shares, Cause.ONE_OFF: terms.one_off / 100, Cause.FIRST_TIME: terms.first_time / 100},
        cost_first=usual.cost_first if terms.cost_first else frozenset(),
        costs=CostTerms(terms.costs, None if terms.margin is None else terms.margin / 100),
        budgets=dict(terms.budgets),
    )
