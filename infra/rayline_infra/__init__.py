"""The Pulumi program of one Rayline estate: settings, components and policies."""
