"""Service contracts and tickets: what was agreed, bought, worked, approved, asked and answered."""
