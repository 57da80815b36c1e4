"""Dossiers of claims: everything that a claim rests on, in one file that others can check without us."""
