"""Modbus and serial lines, shared by the meter and EVSE adapters."""
