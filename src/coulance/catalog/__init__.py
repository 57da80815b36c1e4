"""Plans, meters and prices: the provider file, its revisions, and what a change would do."""
