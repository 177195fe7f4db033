"""The decisions of the charging station: pure functions over values, without any I/O."""
