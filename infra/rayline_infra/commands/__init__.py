"""Verbs that the Pulumi program adds to the `rayline` command."""
