"""Runs the Pulumi program without Pulumi's engine: what it declares, as a graph, with no cloud and no account."""

from rayline_infra.planning.errors import ProgramError
from rayline_infra.planning.processes import parse_overrides, plan

__all__ = ["ProgramError", "parse_overrides", "plan"]
