"""From the tables that say how the provider acts (`policy_tables`) to core's terms, faults at their lines."""

from coulance.catalog.building import PriceBuilder
from coulance.catalog.fields import Reading, Record
from coulance_core.catalog import terms as core
from coulance_core.kernel import Money, unit


class PolicyBuilder(PriceBuilder):
    """Builds terms of the provider's own conduct from `root`, the file's records."""

    def __init__(self, root: Record, reading: Reading) -> None:
        super().__init__(reading)
        self.root = root

    def provider(self) -> core.ProviderTerms | None:
        """Who the provider is; None where it isn't there or has faults."""
        record = self.root.get("provider")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        code = values["currency"].code
        values |= {"currency": code, "zone": values["zone"].key}
        if "national_currency" in values:
            values["national_currency"] = values["national_currency"].code
        if "carry_forward_below" in values:
            amount, named = values["carry_forward_below"]
            values["carry_forward_below"] = Money.of(amount, named)
        values["address"] = tuple(values.get("address", ()))
        values["texts"] = tuple(sorted(values.get("texts", {}).items()))
        return self.made(record.node, {}, lambda: core.ProviderTerms(**values))

    def sending(self) -> core.SendingTerms | None:
        """How mail goes out; None where it isn't there or has faults."""
        record = self.root.get("sending")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        if "from" in values:
            values["sender"] = values.pop("from")
        for key in ("bcc", "documents", "attach"):
            if key in values:
                values[key] = tuple(values[key])
        return self.made(record.node, {"sender": "from"}, lambda: core.SendingTerms(**values))

    def overage(self) -> core.OverageTerms | None:
        """How overage is controlled; None where it isn't there or has faults."""
        record = self.root.get("overage")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        for key in ("exposure", "reachable_above", "approval_above", "budget"):
            if key in values:
                amount, named = values[key]
                values[key] = Money.of(amount, named)
        if "hold_above" in values:
            values["hold_above"] = tuple(Money.of(amount, named) for amount, named in values["hold_above"])
        if "warn_at" in values:
            values["warn_at"] = tuple(values["warn_at"])
        if "quiet" in values:
            values["quiet_from"], values["quiet_until"] = values.pop("quiet")
        if "throttle_to" in values:
            values["throttle_to"] = values["throttle_to"].to(unit("bit/s")).value
        if "lag" in values:
            values["lag_s"] = int(values.pop("lag").to(unit("s")).value)
        if "credit" in values:
            rules = [dict(rule.values) for rule in values["credit"]]
            values["credit"] = tuple(
                core.CreditRule(**rule | {"most": Money.of(*rule["most"]), "plans": tuple(rule.get("plans", ()))})
                for rule in rules
            )
        names = {"lag_s": "lag", "quiet_until": "quiet"}
        return self.made(record.node, names, lambda: core.OverageTerms(**values))

    def advice(self) -> core.AdviceTerms | None:
        """When a better plan is told of; None where it isn't there or has faults."""
        record = self.root.get("advice")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        if "saves" in values:
            values["saves"] = Money.of(*values["saves"])
        return self.made(record.node, {}, lambda: core.AdviceTerms(**values))

    def goodwill(self) -> core.GoodwillTerms | None:
        """What may be given back; None where it isn't there or has faults."""
        record = self.root.get("goodwill")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        if "costs" in values:
            values["costs"] = tuple(values["costs"])
        if "budgets" in values:
            budgets = values["budgets"].values
            values["budgets"] = tuple((role, Money.of(*budgets[role])) for role in sorted(budgets))
        return self.made(record.node, {}, lambda: core.GoodwillTerms(**values))

    def payments(self) -> core.PaymentTerms | None:
        """How money comes in and goes back; None where it isn't there or has faults."""
        record = self.root.get("payments")
        if not isinstance(record, Record) or not record.whole:
            return None
        values = dict(record.values)
        for key in ("return_fee", "top_up_least", "top_up_most", "payback_two_above"):
            if key in values:
                values[key] = Money.of(*values[key])
        if "gateways" in values:
            values["gateways"] = tuple(values["gateways"])
        return self.made(record.node, {}, lambda: core.PaymentTerms(**values))
