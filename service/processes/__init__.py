"""Child processes: everything that may hang, exhaust memory or read hostile input runs in one."""
