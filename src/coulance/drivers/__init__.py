"""Drivers: the ways to act on a service's network, by the port of the enforcement room."""
