"""Adapters of payment gateways, by payments' port. Each knows what its gateway calls things, and its units."""
