"""What the sla room refuses."""


class SlaError(ValueError):
    """Something that can't be said or done of a promise; the message says what, and what to do."""


class UnableToFindCheckError(SlaError, LookupError):
    """There is no such check, agent, entry or case."""


class UnableToTakeLooksError(SlaError):
    """Looks that can't be read; none of the batch is taken."""


class UnableToSayError(SlaError):
    """An entry that contradicts itself or another."""
