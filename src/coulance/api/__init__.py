"""The api room: REST for machines."""
