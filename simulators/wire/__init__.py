"""Register maps of meters, one file per model, in a format of their own (read by ``simulators.registers``)."""
