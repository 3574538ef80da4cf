"""Everything on one machine: the stack of processes, how each is started, tethered, brought back and stopped."""
