"""The usage room: samples taken in exactly once, counted, stored, and read back."""
