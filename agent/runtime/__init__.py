"""Runtime: the composition root and what it joins: loop, clock, configuration, control socket, logs."""
