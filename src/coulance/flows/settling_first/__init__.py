"""Settling an overage invoice before it is issued: it waits, its customer is asked, and the first answer issues it."""
