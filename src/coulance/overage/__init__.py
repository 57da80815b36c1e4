"""Consents, warnings and settlements of overage: the records behind the first law."""
