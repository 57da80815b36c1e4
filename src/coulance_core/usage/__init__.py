"""Samples become figures: counters to deltas, slots, percentiles, aggregates."""
