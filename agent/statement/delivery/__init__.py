"""Delivery of statements when a month has ended, and what became of it."""
