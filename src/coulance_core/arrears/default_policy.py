"""A policy that a careful small host would want: it passes every check, and a provider's file may begin with it."""

DEFAULT_POLICY = """\
# Steps of arrears. Three routes leave the demand: collecting, ending with the term, and restricting. None needs
# another. Days are whole days in between; a notice's own day doesn't count. Not legal advice.
[[arrears.policy]]
name = "default"
from = 2026-01-01
mode = "enforce"          # "observe" records what would have been done, and does nothing
minimum = ["10.00 EUR", "10.00 GBP", "10.00 USD"]
backup_days = 3           # how old a verified backup may be when a service is suspended, ended or deleted
resume_days = 5           # after "steps go on", before the next step that hurts
floor = "256 kbit/s"      # what a throttle leaves at least

[arrears.policy.calendar] # where the customer is; Fridays, weekends, holidays and their eves are closed always
from_hour = 9
to_hour = 16

[arrears.policy.plans]
instalments = 6
days = 190
first_percent = 10
first_days = 14
smallest = ["10.00 EUR", "10.00 GBP", "10.00 USD"]
auto_below = ["250.00 EUR", "250.00 GBP", "250.00 USD"]
grace_days = 3

# --- the demand
[[arrears.policy.step]]
key = "before"
route = "demand"
act = "remind"
days = -3

[[arrears.policy.step]]
key = "reminder"
route = "demand"
act = "remind"
days = 5
evidence = "delivered"
channels = ["email", "post"]
letter = "first_reminder" # Belgium's, for consumers; elsewhere it is a reminder

[[arrears.policy.step]]
key = "demand"
route = "demand"
act = "demand"
after = "reminder"
days = 7
evidence = "delivered"
channels = ["email", "post"]
letter = "fourteen_days"  # the Netherlands', for consumers; elsewhere it is a demand

# --- collect
[[arrears.policy.step]]
key = "call"
route = "collect"
act = "phone"
after = "demand"
days = 10

[[arrears.policy.step]]
key = "costs"
route = "collect"
act = "charge_costs"
after = "demand"
days = 14
minimum = ["40.00 EUR", "40.00 GBP", "40.00 USD"]

[[arrears.policy.step]]
key = "last_demand"
route = "collect"
act = "demand"
after = "demand"
days = 28
evidence = "reached"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "interest"
route = "collect"
act = "charge_interest"
after = "last_demand"
days = 14

[[arrears.policy.step]]
key = "hand_over"
route = "collect"
act = "hand_over"
after = "last_demand"
days = 21
to = "collection"
approvals = 1
minimum = ["100.00 EUR", "100.00 GBP", "100.00 USD"]

# --- end with the term
[[arrears.policy.step]]
key = "non_renewal_notice"
route = "end_at_term"
act = "notice_of_non_renewal"
after = "demand"
days = 45
evidence = "reached"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "not_renew"
route = "end_at_term"
act = "not_renew"
after = "non_renewal_notice"
days = 30

[[arrears.policy.step]]
key = "retrieval"
route = "end_at_term"
act = "offer_retrieval"
after = "term"

[[arrears.policy.step]]
key = "exit_back_up"
route = "end_at_term"
act = "back_up"
after = "retrieval"
again_days = 1

[[arrears.policy.step]]
key = "exit_notice"
route = "end_at_term"
act = "notice_of_deletion"
after = "retrieval"
days = 1
evidence = "deemed"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "exit_delete"
route = "end_at_term"
act = "delete"
after = "exit_notice"
days = 30

# --- restrict
[[arrears.policy.step]]
key = "block_orders"
route = "restrict"
act = "block_orders"
after = "demand"
days = 7

[[arrears.policy.step]]
key = "suspension_notice"
route = "restrict"
act = "demand"
after = "demand"
days = 10
evidence = "delivered"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "throttle"
route = "restrict"
act = "throttle"
after = "suspension_notice"
days = 7
rate = "1 Mbit/s"

[[arrears.policy.step]]
key = "back_up"
route = "restrict"
act = "back_up"
after = "throttle"
days = 5
again_days = 1

[[arrears.policy.step]]
key = "suspend"
route = "restrict"
act = "suspend"
after = "throttle"
days = 7

[[arrears.policy.step]]
key = "termination_notice"
route = "restrict"
act = "notice_of_termination"
after = "suspend"
days = 14
evidence = "reached"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "terminate"
route = "restrict"
act = "terminate"
after = "termination_notice"
days = 14

[[arrears.policy.step]]
key = "offer_retrieval"
route = "restrict"
act = "offer_retrieval"
after = "terminate"

[[arrears.policy.step]]
key = "deletion_notice"
route = "restrict"
act = "notice_of_deletion"
after = "terminate"
days = 1
evidence = "deemed"
channels = ["email", "post"]

[[arrears.policy.step]]
key = "delete"
route = "restrict"
act = "delete"
after = "deletion_notice"
days = 30
"""
