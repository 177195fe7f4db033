"""OCPP over WebSocket: RPC, dialects, connection, and the service of one destination."""
