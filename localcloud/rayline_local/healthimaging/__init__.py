"""The HealthImaging stand-in: import jobs, image sets and frames as AWS HealthImaging serves them."""
