"""The integrations room: what reads and measures the outside world, and the demo."""
