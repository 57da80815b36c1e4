"""Why a record of overage could not be made."""

from enum import StrEnum


class Rule(StrEnum):
    """The rule by which a consent is refused. The order is the order of precedence."""

    NO_SUCH_CONTACT = "no_such_contact"
    CONTACT_MAY_NOT_INCUR_COST = "contact_may_not_incur_cost"
    NOT_OF_ACCOUNT = "not_of_account"
    WRONG_CURRENCY = "wrong_currency"
    INCOMPLETE = "incomplete"
    BELOW_USE = "below_use"
    CONTACT_NOT_REACHABLE = "contact_not_reachable"
    NOT_PENDING = "not_pending"
    NOT_IN_FORCE = "not_in_force"


class OverageError(ValueError):
    """An overage record that cannot be made."""


class UnableToConsentError(OverageError):
    """A consent that cannot be given, decided on or ended; `rule` says by which rule, the text what to do."""

    def __init__(self, rule: Rule, text: str) -> None:
        super().__init__(text)
        self.rule = rule


class UnableToRecordError(OverageError):
    """A warning, an acknowledgement or an attack that cannot be recorded."""
