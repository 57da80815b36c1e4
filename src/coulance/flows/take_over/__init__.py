"""Taking over from the system a provider leaves: planned, applied whole or not at all, and reconciled to the cent."""
