"""How a statement of account looks and reads."""
