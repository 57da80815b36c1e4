"""Case files from independent oracles, run through the product's own public functions."""
