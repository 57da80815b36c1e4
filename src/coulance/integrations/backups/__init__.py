"""Ways to back a service's data up, by the arrears room's port."""
