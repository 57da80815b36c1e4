"""Arrears: cases, acts, promises, plans, approvals, backups: the facts that the second law is judged by."""
