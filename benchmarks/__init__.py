"""How fast and how small it is, as ratios measured in one run: `python -m benchmarks`."""
