"""The ledger room: the journal."""
