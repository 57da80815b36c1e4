"""The disputes room: cases on lines of invoices, what happened in them, their files, and what they hold."""
