"""Training, evaluating and comparing many systems on one corpus: runs, tables and figures."""
