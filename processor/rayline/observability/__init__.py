"""Logs, and later metrics, traces and audit."""
