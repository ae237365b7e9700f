"""Policy documents as plain functions, and checks over the resource graph."""
