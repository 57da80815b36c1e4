"""Why disputes could not do what was asked."""

from coulance_core.kernel import Refusal


class DisputesError(ValueError):
    """Disputes refused; subclasses say what."""


class UnableToFindCaseError(DisputesError, LookupError):
    """There is no such case, or it is another account's."""


class UnableToOpenError(DisputesError):
    """A case that can't be opened. `refusal` names the rule, where one refused."""

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class UnableToStepError(DisputesError):
    """A step that can't follow: the case is closed, waits for something else, or lacks what the step needs."""


class UnableToKeepFileError(DisputesError):
    """A file that isn't taken: too large, too many, empty, or not what its name says."""
