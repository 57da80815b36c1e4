"""The console room: pages for operators."""
