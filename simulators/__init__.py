"""Simulated meters, card readers, EVSE controllers and central systems on real transports."""
