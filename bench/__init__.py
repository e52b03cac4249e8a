"""Benchmarks. Each prints what it measured beside a named baseline of the same run."""
