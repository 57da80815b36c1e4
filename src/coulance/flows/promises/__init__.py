"""Law 3 for uptime: what was promised is measured from evidence, credited unasked, paid, and told."""
