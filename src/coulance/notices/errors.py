"""What notices can't do, by name. Import them beside the operation that raises them."""


class NoticesError(RuntimeError):
    """An operation of notices that was refused; subclasses say which."""


class UnableToQueueError(NoticesError):
    """A message that can't be queued: it says nothing, goes to nobody, or has an address or header that can't be."""


class UnableToFindMessageError(NoticesError):
    """There is no such message or delivery."""


class UnableToChangeDeliveryError(NoticesError):
    """A delivery that doesn't stand as the act needs it: not uncertain, not held, already sent."""


class UnableToAttachError(NoticesError):
    """Something that was to be attached can't be made; the message is held, and says why."""


class UnableToReachServerError(NoticesError):
    """The mail server (or provider) can't be used now: unreachable, or it refuses us. Messages wait."""


class UnableToReadTransportError(NoticesError):
    """The secret `mail` is no address of a mail server; the message never holds it."""


class UnableToReadBouncesError(NoticesError):
    """There is no mailbox to read bounces from."""
