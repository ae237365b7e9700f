"""The main job on one machine: from an upload to a registered model."""
