"""Overage control as it happens: who nears an allowance or a limit, who is told, and what stops when."""
