"""How a contact's webhook is written as the address of a delivery."""

import re


def hook_address(hook: int) -> str:
    """
    >>> hook_address(17), is_hook("hook:17"), number_of("hook:17"), is_hook("post@shop.example")
    ('hook:17', True, 17, False)
    """
    return f"hook:{hook}"


def is_hook(address: str) -> bool:
    """Whether an address is a webhook's."""
    return re.fullmatch(r"hook:[1-9][0-9]{0,17}", address) is not None


def number_of(address: str) -> int:
    """Whose address it is."""
    return int(address.removeprefix("hook:"))
