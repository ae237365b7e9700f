"""Writes the project of a new plugin (``rayline plugins new``)."""

from rayline.scaffold.project import PluginProject

__all__ = ["PluginProject"]
