"""Why arrears could not do what was asked."""

from coulance_core.kernel import Refusal


class ArrearsError(ValueError):
    """Arrears refused; subclasses say what."""


class UnableToFindError(ArrearsError, LookupError):
    """There is no such case, plan, stay or task, or it is another account's."""


class UnableToActError(ArrearsError):
    """An act, approval or record that can't be: its case is closed, its reason is missing, or a guard refuses."""

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class UnableToPromiseError(UnableToActError):
    """A promise that isn't taken; `refusal` names the rule, where one refused."""


class UnableToPlanError(UnableToActError):
    """A plan that isn't taken, agreed or ended; `refusal` names the rule, where one refused."""
