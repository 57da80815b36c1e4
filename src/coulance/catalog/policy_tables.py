"""Tables of a provider file on how the provider acts: sending, overage, advice, goodwill, payments.

What is sold and how it is billed stands in `provider_file.py`, which puts all tables together.
"""

from coulance.catalog.fields import Choice, Day, Field, Flag, ListOf, Name, OneOrMore, Table, Text, Whole
from coulance.catalog.values import Amount, Amounts, CreditorId, Percent, Price, QuietHours, WarnAt
from coulance.platform.roles import Role
from coulance_core.catalog.overage import Action, Control
from coulance_core.catalog.paying import AllocationPolicy, DebitFile, GatewayName, TopUpCounts, TransferFile
from coulance_core.catalog.sending import ADDRESS, InvoiceForm, SendingMode, SentKind
from coulance_core.kernel import Dimension

_ADDRESS = Text('an e-mail address, such as "billing@example.com"', ADDRESS)
SENDING = Table(
    "how documents are mailed",
    (
        Field("from", _ADDRESS, "the address that mail comes from; the provider's own unless said"),
        Field("name", Text(most=100), "the name beside it; the provider's own unless said"),
        Field("reply_to", _ADDRESS, "where answers go"),
        Field("bounces_to", _ADDRESS, "the mailbox for what comes back; the address it comes from unless said"),
        Field("bcc", ListOf(_ADDRESS), "who gets a blind copy of every document"),
        Field("mode", Choice(SendingMode), "whether an operator approves first, or documents go by themselves"),
        Field("hour", Whole(0, 23), "the hour of the day from which they go by themselves, in the provider's zone"),
        Field("scheduled_from", Day(), "the day from whose documents on they go by themselves; needed for that mode"),
        Field("documents", ListOf(Choice(SentKind)), "which documents are mailed; all of them unless said"),
        Field("attach", ListOf(Choice(InvoiceForm)), "electronic forms that go along with the PDF"),
    ),
)
CREDIT_RULE = Table(
    "how far some customers may go without asking",
    (
        Field("most", Amount(), "limits above this want the provider's approval", required=True),
        Field("younger_than_days", Whole(1, 3660), "for accounts younger than this"),
        Field("late", Whole(1, 100), "for those who paid so many invoices over a week late in twelve months"),
        Field("plans", ListOf(Name("plans"), 1), "for services on these plans"),
    ),
)
OVERAGE = Table(
    "how far overage may go",
    (
        Field("control", Choice(Control), "whether customers decide how far it may go, and whether that is enforced"),
        Field("action", Choice(Action), "what happens when use must stop"),
        Field("throttle_to", Amounts((Dimension.RATE,)), 'the rate that is left when throttled, such as "10 Mbit/s"'),
        Field("tolerance", Percent(), "how much above the allowance is free, as a share of it"),
        Field("ports", Choice(Action), "the same of percentile ports; a throttle holds one to its commit"),
        Field("levels", Choice(Action), "the same of levels, such as stored data: absorb or warn"),
        Field("exposure", Amount(), "accrued overage above which somebody must acknowledge, or use stops"),
        Field(
            "warn_at",
            ListOf(WarnAt()),
            'when customers are warned: "80 %", "90 % of limit", "1200 GB", "5.00 EUR" of overage, '
            '"6 h of burst" left, "100 % at this pace", "unusual"',
        ),
        Field("remind_hours", Whole(1, 168), "how long nobody may have answered before they are told again"),
        Field("quiet", QuietHours(), "when nobody is disturbed for what can wait, by the customer's own clock"),
        Field("reachable_above", Amount(), "limits above this want a contact who is reachable at once"),
        Field("approval_above", Amount(), "limits above this want the provider's approval"),
        Field("credit", ListOf(CREDIT_RULE), "lower bounds for new customers, for those who pay late, by plan"),
        Field("budget", Amount(), "what is absorbed for a customer in 12 months before pauses come earlier"),
        Field("lag", Amounts((Dimension.TIME,)), "how long a pause takes from the beginning of a sample"),
        Field(
            "hold_above",
            OneOrMore(Amount()),
            "an overage invoice above this waits for the customer's choice; one amount a currency",
        ),
        Field("hold_hours", Whole(0, 72), "how long it waits"),
        Field(
            "paying_resumes", Flag(), "whether paying what ran up acknowledges it, and ends a pause that waits for that"
        ),
        Field(
            "webhook_counts",
            Flag(),
            "whether a warning that a customer's own webhook took counts as delivered; never more",
        ),
        Field("provisional_days", Whole(1, 60), "when a limit from an earlier contract lapses, unless confirmed"),
    ),
)
ADVICE = Table(
    "when customers are told of a cheaper plan",
    (
        Field("saves", Amount(), "the least that it saves a period, on average"),
        Field("share", Percent(), "the least that it saves, as a share of what is paid"),
        Field("in_periods", Whole(1, 36), "in how many of the last periods it was the cheaper one, at least"),
        Field("of_periods", Whole(1, 36), "how many periods are looked at"),
        Field("every", Whole(1, 36), "unasked, not more often than every so many periods"),
        Field("smaller", Flag(), "also plans with a lower fee, which may lack what isn't metered"),
        Field("retroactive", Flag(), "a larger plan may be taken for a past period instead of its overage"),
        Field("mail", Flag(), "those who pay overage again and again are told by mail, unasked"),
    ),
)
BUDGETS = Table(
    "what one person of a role may give in a calendar month; when there are any, other roles may give nothing",
    tuple(Field(role.value, Amount(), f"the budget of each {role.value} operator") for role in Role),
)
GOODWILL = Table(
    "how goodwill is proposed and bounded",
    (
        Field("costs", ListOf(Price()), "what one more unit costs you"),
        Field("margin", Percent(), "the share of a base fee that is left over"),
        Field("cost_first", Flag(), "once, or for the first time: they pay no more than your cost"),
        Field("one_off", Percent(), "else, what is given for what happened once"),
        Field("first_time", Percent(), "and for what happened for the first time"),
        Field("offer", Flag(), "offer it to the customer, while their overage invoice waits for their choice"),
        Field("budgets", BUDGETS, "[goodwill.budgets]: how much each role may give"),
    ),
)
PAYMENTS = Table(
    "how money is allocated, and by which rails it comes",
    (
        Field("allocation", Choice(AllocationPolicy), "the order in which debts are paid where the payer says nothing"),
        Field("apply_on_hand", Flag(), "money left over, credit and prepaid balances pay new debts by themselves"),
        Field("creditor_id", CreditorId(), "your SEPA creditor identifier; without one nothing is collected"),
        Field("notice_days", Whole(1, 60), "how many days ahead a collection is announced"),
        Field("lead_days", Whole(1, 10), "how many days of business before its day a file is at the bank"),
        Field("debit_file", Choice(DebitFile), "the form of the file that your bank takes"),
        Field("first_says_first", Flag(), "your bank wants FRST in the first collection of a mandate"),
        Field("retries", Whole(0, 5), "how often a collection that came back for want of money is tried again"),
        Field("retry_after", Whole(1, 60), "how many days later, at least"),
        Field("return_fee", Amount(), "what your contracts agree that a returned collection costs"),
        Field("gateways", ListOf(Choice(GatewayName)), "where customers may pay at once, the first preferred"),
        Field("charge_notice_days", Whole(0, 60), "how many days ahead a charge by agreement is announced"),
        Field("top_up_least", Amount(), "the least that a balance is topped up by"),
        Field("top_up_most", Amount(), "the most that it is topped up by at once"),
        Field("top_up_counts", Choice(TopUpCounts), "when a top-up by direct debit is on the balance"),
        Field("answer_days", Whole(1, 20), "after how many days of business a collection without an answer is alarmed"),
        Field("payback_people", Whole(0, 2), "how many people approve money that is paid back"),
        Field("payback_two_above", Amount(), "from this amount on, two people approve it"),
        Field("transfer_file", Choice(TransferFile), "the form of the file that pays it back"),
    ),
)
