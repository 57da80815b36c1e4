"""How long a claim of work holds."""

from datetime import timedelta

LEASE = timedelta(seconds=60)
"""After this a claim counts as its executor's death. Longer than any driver's own timeouts."""
SILENT = timedelta(seconds=20)
"""After this an executor whose heart doesn't beat counts as dead, with all that it claimed."""
