"""Rayline: imaging events to better models."""
