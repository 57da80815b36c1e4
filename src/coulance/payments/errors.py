"""What payments can't do, by name. Import them beside the operation that raises them."""


class PaymentsError(RuntimeError):
    """An operation of payments that was refused; subclasses say which."""


class UnableToBookError(PaymentsError):
    """A receipt that can't be booked: of nothing, in another currency, or its source was booked with other content."""


class UnableToAllocateError(PaymentsError):
    """Money that can't be allocated as asked: nothing left of it, or what it is for isn't open."""


class UnableToReverseError(PaymentsError):
    """What can't be undone: it isn't there, was undone before, or something rests on it."""


class UnableToRefundError(PaymentsError):
    """A refund that can't be: of more than is left, or to nowhere."""


class UnableToTakeOverError(PaymentsError):
    """An item, balance or mandate that can't be taken over: it contradicts itself, or what was taken before."""


class UnableToFindPaymentError(PaymentsError):
    """There is no such receipt, allocation, refund or item."""


class UnableToCollectError(PaymentsError):
    """What can't be collected, or not so: no mandate to do it by, claimed already, or its file went before."""


class UnableToChargeError(PaymentsError):
    """A payment at a gateway, a stored method or an agreement that can't be: too much, too little, or gone."""


class UnableToPayBackError(PaymentsError):
    """Money can't go back as asked."""
