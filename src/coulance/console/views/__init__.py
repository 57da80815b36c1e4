"""The console's pages, a module for each thing they show."""
