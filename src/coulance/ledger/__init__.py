"""The ledger room: the journal, its guards in the database, holds, day seals, and exports."""
