"""The line commands of simulated devices, a module per kind of device."""
