"""Reads and writes .ipynb files: receipts in outputs, recordings, scrubbed copies, differences, environment."""
