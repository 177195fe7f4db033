"""Command line: one module per group of commands; heavy modules are imported inside the commands."""
