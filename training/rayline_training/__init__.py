"""Rayline's training pipeline: the SageMaker definition and the steps that its containers run."""
