"""A policy of few days, for tests that act for real: due on Thursday the 18th, the reminder on the 19th."""

POLICY = """
[arrears]
mode = "enforce"
[[arrears.policy]]
name = "quick"
from = 2026-01-01
law = "nl"
resume_days = 0
[[arrears.policy.step]]
key = "reminder"
route = "demand"
act = "remind"
days = 1
evidence = "delivered"
channels = ["email", "post"]
fee = "7.50 EUR"
"""


def step(key: str, route: str, act: str, after: str = "reminder", days: int = 0, **more: object) -> str:
    """A step of it, as the file has it."""
    told = "".join(f"{name} = {value}\n" for name, value in more.items())
    return (
        f'[[arrears.policy.step]]\nkey = "{key}"\nroute = "{route}"\nact = "{act}"\nafter = "{after}"\ndays = {days}\n'
        + told
    )


ENDS = (
    step("back_up", "restrict", "back_up", again_days=1),
    step("notice", "restrict", "notice_of_termination", days=1, evidence='"delivered"'),
    step("terminate", "restrict", "terminate", "notice", 1),
    step("goodbye", "restrict", "notice_of_deletion", "terminate", 0, evidence='"delivered"'),
    step("delete", "restrict", "delete", "goodbye", 1),
)
