"""What a contract says: meters, versioned price terms, pools, tax, numbers. Values only; no decisions, no files."""
