"""Service contracts: hours and what pays for them, and whether a contract is fair to both sides."""
