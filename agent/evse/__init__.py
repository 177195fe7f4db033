"""EVSE controllers: adapters for the pilot, the current limit and the contactor."""
