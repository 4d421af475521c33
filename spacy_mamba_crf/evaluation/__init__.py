"""Scores, tables, plots and the report of a pipeline; no module here imports torch or thinc."""
