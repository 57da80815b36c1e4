"""What we measure ourselves by: each goal of the design beside its rival, both in one run. See `harness.py`."""
