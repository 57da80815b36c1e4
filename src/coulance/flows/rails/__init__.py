"""Money by rails: collections from mandates, payments at gateways, balances topped up; told ahead, claimed once."""
