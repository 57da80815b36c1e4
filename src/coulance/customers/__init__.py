"""Accounts and their contacts: who is billed, who is told, and who may incur cost."""
