"""Benchmarks: what is claimed of Rayline's speed, measured on the machine at hand with ``make bench``."""
