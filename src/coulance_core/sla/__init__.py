"""Promises: uptime and response measured from evidence, priced by the contract's own terms (law 3)."""
