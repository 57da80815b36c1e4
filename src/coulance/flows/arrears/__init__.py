"""Arrears as a use case: read the facts of every room, judge by core, act through the rooms, undo at once."""
