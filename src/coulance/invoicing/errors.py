"""What invoicing can't do, by name. Import them beside the operation that raises them."""


class InvoicingError(RuntimeError):
    """An operation of invoicing that was refused; subclasses say which."""


class UnableToFindRunError(InvoicingError):
    """There is no such billing run."""


class UnableToPlanError(InvoicingError):
    """A chunk that can't be planned or finished."""


class UnableToWriteError(InvoicingError):
    """Drafts that the database refuses; nothing of them was written."""


class UnableToBillTwiceError(UnableToWriteError):
    """A period, a day of a base fee, or a carried amount that is billed already."""


class UnableToNumberError(InvoicingError):
    """A run or document that can't be numbered yet: chunks are unfinished, or a number series is missing."""


class UnableToFindDocumentError(InvoicingError):
    """There is no document of that number."""


class UnableToCreditError(InvoicingError):
    """A credit note that can't be given: on what is no invoice, or for more than is left."""


class UnableToSendError(InvoicingError):
    """A document that was never issued, or was sent before."""
