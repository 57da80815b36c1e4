"""The invoicing room: documents, numbering, runs."""
