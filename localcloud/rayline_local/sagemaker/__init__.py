"""SageMaker on one machine: pipelines run from their definition, steps as subprocesses under its container contract."""
