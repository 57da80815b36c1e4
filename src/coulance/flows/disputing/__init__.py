"""Disputes from end to end: opened by a customer or for them, worked, decided with credit note and hold at once."""
