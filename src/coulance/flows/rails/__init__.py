"""Money by rails: collections from mandates, payments at gateways, balances topped up; told ahead, claimed once.

`planning` says what is collected when, `direct_debit` files and hands over, `settling` and `bank_answers` hear banks,
`returning` says what follows; `by_mandate` and `wallet` do what customers agreed to, `instalments` what plans say;
`paying`, `folding` are gateways; `paying_back` and `left_over` money that goes back or is over; `watching` waits.
"""
