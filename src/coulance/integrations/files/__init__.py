"""Readers of usage files: CSV, Parquet, vnStat JSON. Each gives blocks of columns that ingest takes."""
