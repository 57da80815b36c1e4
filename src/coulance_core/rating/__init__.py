"""Turns usage and terms into priced lines that explain themselves. Exact until one named rounding."""
