"""Proof under fire: kills, faults and disorder while the main job runs, and a count of what came out of it."""
