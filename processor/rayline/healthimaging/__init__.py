"""Access to AWS HealthImaging."""
