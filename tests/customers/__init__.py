"""Tests of the customers room and of the import of customers."""
