"""Prometheus: what it sends (remote write), and what it is asked (raw samples by a range selector)."""
