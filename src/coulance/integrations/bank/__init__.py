"""Bank files: MT940, MT942, camt.052, camt.053 and camt.054 read to one form, and written."""
