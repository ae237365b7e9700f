"""The processor's own stages: plugins registered through the same contract as a site's."""
