"""The ``rayline`` command: its verbs come from every installed project, through entry points."""

from rayline.cli.app import main

__all__ = ["main"]
