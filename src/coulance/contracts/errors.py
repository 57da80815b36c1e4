"""Why contracts and tickets could not do what was asked."""


class ContractsError(ValueError):
    """Contracts refused; subclasses say what."""


class UnableToFindContractError(ContractsError, LookupError):
    """There is no such contract, or it is another account's."""


class UnableToFindTicketError(ContractsError, LookupError):
    """There is no such ticket, or it is another account's."""


class UnableToAgreeError(ContractsError):
    """A contract that can't be: unknown terms, another currency, a start that is no day of theirs."""


class UnableToRecordError(ContractsError):
    """Work, an event or a purchase that can't be written down, and why."""


class UnableToApproveError(ContractsError):
    """Leave that can't be given: it was answered already, is too old, or came after the work."""


class UnableToChangeError(ContractsError):
    """A change of a contract that doesn't follow: it ended, was said already, or its terms don't allow it."""
