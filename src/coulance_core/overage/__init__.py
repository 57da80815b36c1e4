"""How much overage may be charged: limits, consent and warning, settled against use as it went on (law 1)."""
