"""The books as files for accountants and tax offices: Dutch auditfile XAF 3.2, and DATEV's EXTF."""
